"""The cases of `audit_calibration.py`: small tasks in muP, and the faults that an audit must find and name.

A fault changes one law of the powers of the width and leaves the base width, the narrowest, as it is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from unittest import mock

import numpy as np
import xarray as xr

import widthwise as ww
from widthwise.analysis.verdict import ClaimRow
from widthwise.data.stream import Stream
from widthwise.networks import transformer
from widthwise.networks.parametrization import TABLE
from widthwise.training import labels

Kind = Literal["mlp", "cnn", "transformer"]
Name = tuple[str, tuple[str, ...]]  # a key of a row's `where`, and the values of which one names the fault

KINDS: tuple[Kind, ...] = ("mlp", "cnn", "transformer")
OPTIMIZERS = ("sgd", "adamw")
WIDTHS = {"mlp": (32, 64, 128, 256), "cnn": (16, 32, 64, 128), "transformer": (32, 64, 128, 256)}
RATES = {
    ("mlp", "sgd"): 0.3,
    ("cnn", "sgd"): 0.5,
    ("transformer", "sgd"): 0.3,
    ("mlp", "adamw"): 0.003,
    ("cnn", "adamw"): 0.01,
    ("transformer", "adamw"): 0.006,
}
ACTIVATIONS = {"mlp": ("relu", 2**0.5), "cnn": ("tanh", 1.5), "transformer": ("gelu", 1.0)}
STEPS = {"mlp": 41, "cnn": 21, "transformer": 21}
BATCH = {"mlp": 16, "cnn": 8, "transformer": 8}
WEIGHT_DECAY = 0.5


@dataclass(frozen=True)
class Case:
    """An architecture, an optimizer, and what is wrong ("nothing" where all is right)."""

    fault: str
    kind: Kind
    optimizer: str

    @property
    def label(self) -> str:
        """For files and tables."""
        return f"{self.fault.replace(' ', '_').replace('/', '_')}-{self.kind}-{self.optimizer}"


@dataclass(frozen=True)
class Fault:
    """Where a fault can occur: the kinds of network and the optimizers; and its changes to the table."""

    kinds: tuple[Kind, ...] = KINDS
    optimizers: tuple[str, ...] = OPTIMIZERS
    law: tuple[str, str, float] | None = None  # role, column of the table, its power of m
    parametrization: str = "mean_field"
    rule: str = ""  # how the audit names it, where it names no tensor


FAULTS = {
    "readout 1/sqrt(N)": Fault(law=("readout", "multiplier", -0.5)),
    "hidden Adam rate not divided by m": Fault(optimizers=("adamw",), law=("hidden", "adam", 0.0)),
    "embedding rate multiplied by m": Fault(optimizers=("adamw",), law=("input", "adam", 1.0)),
    "attention 1/sqrt(d)": Fault(kinds=("transformer",), rule="attention_scale"),
    "initialization by fan-out": Fault(law=("input", "std", -0.5)),
    "weight decay multiplied by m": Fault(optimizers=("adamw",), rule="weight_decay"),
    "ntk": Fault(parametrization="ntk", rule="NTK"),
    "standard": Fault(parametrization="standard", rule="standard"),
}


def cases_of(fault: str) -> list[Case]:
    """The architectures and optimizers it is looked for in; by gradient descent, in perceptrons only."""
    where = FAULTS.get(fault, Fault())
    return [
        Case(fault, kind, optimizer)
        for kind in where.kinds
        for optimizer in where.optimizers
        if fault not in FAULTS or optimizer == "adamw" or kind == "mlp" or len(where.kinds) == 1
    ]


def study_of(case: Case, width: int, seeds: int, seed: int) -> ww.Study:
    """A few steps on digits or on Python's own documentation."""
    fault, text = FAULTS.get(case.fault, Fault()), case.kind == "transformer"
    data = (
        ww.DataSettings(kind="text", train=512, test=16, sequence_length=16, vocabulary=64)
        if text
        else ww.DataSettings(kind="digits", classes=tuple(range(10)), train=512, test=16)
    )
    base, (activation, gain) = WIDTHS[case.kind][0], ACTIVATIONS[case.kind]
    network = ww.NetworkSettings(
        kind=case.kind,
        hidden_layers={"mlp": 3, "cnn": 3, "transformer": 1}[case.kind],
        activation=activation,
        activation_gain=gain,
        base_width=base,
        parametrization=fault.parametrization,
        **({"heads": 4} if text else {}),
    )
    decay = WEIGHT_DECAY if case.optimizer == "adamw" else 0.0
    training = ww.TrainingSettings(
        optimizer=case.optimizer,
        learning_rate=RATES[case.kind, case.optimizer],
        weight_decay=decay * (width / base if fault.rule == "weight_decay" else 1),
        batch=BATCH[case.kind],
        steps=STEPS[case.kind],
        loss="cross_entropy",
        reduction="mean",
    )
    plain = ww.Study(name="calibration", data=data, network=network, training=training)
    steps = tuple(step for step in (0, 1, 2, 3, 5, 8, 13, 20, 30, 40) if step < STEPS[case.kind])
    chosen = ("preactivation_quantile", *(("attention",) if text else ()))
    return replace(
        plain,
        ensemble=ww.EnsembleSettings(widths=(width,), seeds=seeds, seed=seed),
        record=ww.RecordSettings(
            steps=steps, quantities=(*plain.record.quantities, *chosen), train_points=16
        ),
    )


def train(case: Case, seeds: int, seed: int) -> xr.Dataset:
    """Networks of all widths, with the fault in place; the audit's view of them: no study that would tell
    it the parametrization."""
    with injected(case.fault):
        parts = [
            ww.train_ensemble(study_of(case, width, seeds, seed)).drop_attrs() for width in WIDTHS[case.kind]
        ]
    return together(parts)


def together(parts: list[xr.Dataset]) -> xr.Dataset:
    """Ensembles of one width each as one dataset."""
    return xr.concat(
        parts, dim="width", data_vars="minimal", coords="minimal", compat="override", join="override"
    )


def kept_records(path: Path, make: Callable[[], xr.Dataset]) -> xr.Dataset:
    """What is in the file, made and written first if it is not there."""
    if not path.exists():
        partial = path.with_suffix(".partial")
        make().to_netcdf(partial, engine="h5netcdf")
        partial.replace(path)
    with xr.open_dataset(path, engine="h5netcdf") as kept:
        return kept.load()


@contextmanager
def injected(name: str) -> Iterator[None]:
    """Networks drawn and trained inside have the fault; the exponents that they are judged by stay right."""
    fault = FAULTS.get(name, Fault())
    if fault.law:
        role, column, power = fault.law
        right = dict(TABLE["mean_field"])
        wrong = right | {role: right[role]._replace(**{column: power})}
        judged_by = labels.tensor_laws

        def right_laws(study: ww.Study, stream: Stream) -> dict[str, tuple]:
            with mock.patch.dict(TABLE, mean_field=right):
                return judged_by(study, stream)

        with (
            mock.patch.dict(TABLE, mean_field=wrong),
            mock.patch.object(labels, "tensor_laws", right_laws),
        ):
            yield
    elif fault.rule == "attention_scale":
        plan = transformer._plan_block

        def spoiled(settings: ww.NetworkSettings, width: int) -> transformer.Block:
            block = plan(settings, width)
            return replace(block, attention=replace(block.attention, scale=(width // settings.heads) ** -0.5))

        with mock.patch.object(transformer, "_plan_block", spoiled):
            yield
    else:
        yield


def named(case: Case, records: xr.Dataset, row: ClaimRow) -> bool:
    """Whether a row names the fault: its tensor, or its rule."""
    fault = FAULTS[case.fault]
    if fault.rule:
        return fault.rule in str(row.where.get("rule", ""))
    assert fault.law is not None
    roles = dict(zip(records["tensor"].to_numpy(), records["tensor_role"].to_numpy(), strict=True))
    return roles.get(row.where.get("tensor")) == fault.law[0]


def coordinate_check(records: xr.Dataset, factor: float = 1.2, steps: int = 3) -> bool:
    """The usual check, as a rule: whether some layer's coordinates, at initialization or after one to three
    steps, differ by more than the factor between the narrowest and the widest networks (means of seeds)."""
    sizes = records["forward_rms"].isel(step=records["step"] <= steps).mean("seed")
    ratio = np.abs(np.log(sizes.isel(width=-1) / sizes.isel(width=0)))
    return bool((ratio > np.log(factor)).any() or ratio.isnull().any())
