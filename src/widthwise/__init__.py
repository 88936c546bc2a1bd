"""How neural networks depend on their width: infinite width, order 1/N, and trained networks beside them.

Names are imported when they are first used, so that `import widthwise` is quick and loads no JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from widthwise import exact as exact
    from widthwise import forecast as forecast
    from widthwise import testing as testing
    from widthwise import torch as torch
    from widthwise.adapters import RecordWriter as RecordWriter
    from widthwise.adapters import jax_recorder as jax_recorder
    from widthwise.adapters import open_runs as open_runs
    from widthwise.analysis import compare as compare
    from widthwise.audit import Audit as Audit
    from widthwise.audit import AuditSettings as AuditSettings
    from widthwise.audit import audit as audit
    from widthwise.data import Points as Points
    from widthwise.data import load_points as load_points
    from widthwise.errors import InputError as InputError
    from widthwise.errors import StoreError as StoreError
    from widthwise.fluctuations import Observable as Observable
    from widthwise.fluctuations import solve_covariance as solve_covariance
    from widthwise.forecast import plan as plan
    from widthwise.infinite_width import solve_infinite_width as solve_infinite_width
    from widthwise.observables import add_richness_scan as add_richness_scan
    from widthwise.observables import differentiate as differentiate
    from widthwise.observables import loss_gradient as loss_gradient
    from widthwise.observables import read_theory as read_theory
    from widthwise.observables import solve_fluctuations as solve_fluctuations
    from widthwise.observables import write_theory as write_theory
    from widthwise.records import load_parameters as load_parameters
    from widthwise.records import open_records as open_records
    from widthwise.report import write_report as write_report
    from widthwise.study import DataSettings as DataSettings
    from widthwise.study import EnsembleSettings as EnsembleSettings
    from widthwise.study import NetworkSettings as NetworkSettings
    from widthwise.study import RecordSettings as RecordSettings
    from widthwise.study import RunSettings as RunSettings
    from widthwise.study import Study as Study
    from widthwise.study import TheorySettings as TheorySettings
    from widthwise.study import TrainingSettings as TrainingSettings
    from widthwise.study import dump_study as dump_study
    from widthwise.study import load_study as load_study
    from widthwise.training import Parametrized as Parametrized
    from widthwise.training import describe_parametrization as describe_parametrization
    from widthwise.training import make_optimizer as make_optimizer
    from widthwise.training import parametrize as parametrize
    from widthwise.training import train_ensemble as train_ensemble

    __version__: str

_NAMES = {
    "adapters": ["RecordWriter", "jax_recorder", "open_runs"],
    "analysis": ["compare"],
    "audit": ["Audit", "AuditSettings"],
    "data": ["Points", "load_points"],
    "errors": ["InputError", "StoreError"],
    "fluctuations": ["Observable", "solve_covariance"],
    "forecast": ["plan"],
    "infinite_width": ["solve_infinite_width"],
    "observables": [
        "add_richness_scan",
        "differentiate",
        "loss_gradient",
        "read_theory",
        "solve_fluctuations",
        "write_theory",
    ],
    "records": ["load_parameters", "open_records"],
    "report": ["write_report"],
    "study": [
        "DataSettings",
        "EnsembleSettings",
        "NetworkSettings",
        "RecordSettings",
        "RunSettings",
        "Study",
        "TheorySettings",
        "TrainingSettings",
        "dump_study",
        "load_study",
    ],
    "training": [
        "Parametrized",
        "describe_parametrization",
        "make_optimizer",
        "parametrize",
        "train_ensemble",
    ],
}
# Public names that are modules; `audit` and `forecast` are called as their functions. Importing any file of a
# folder puts the folder's module here, so that such a name can be nothing else.
_MODULES = ("audit", "exact", "forecast", "testing", "torch")
_HOMES = {name: room for room, names in _NAMES.items() for name in names}
__all__ = [*_HOMES, *_MODULES, "__version__"]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """The public name, imported now and kept."""
    if name == "__version__":
        from importlib.metadata import version  # as slow as all the rest of this file

        value = version("widthwise")
    elif name in _MODULES:
        value = import_module(f"widthwise.{name}")
    elif name in _HOMES:
        value = getattr(import_module(f"widthwise.{_HOMES[name]}"), name)
    else:
        raise AttributeError(f"module 'widthwise' has no attribute {name!r}; it has {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
