"""Named, labelled theory: the infinitely wide network and its order 1/N, laid out as `theory.nc`.

Begin here.
"""

import hashlib
import json
import time

import numpy as np
import xarray as xr
from jaxtyping import Int

from widthwise.data import Points
from widthwise.fluctuations import (
    FiniteWidthCorrections,
    Horizon,
    finite_width_corrections,
    has_fluctuations,
    require_corrections,
)
from widthwise.infinite_width import InfiniteWidthSolution
from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.infinite_width.solution_memory import DoesNotFit
from widthwise.infinite_width.solve import FLOW_TOLERANCE
from widthwise.observables.validity import validity_warnings
from widthwise.progress import SILENT, Progress
from widthwise.records.evidence import evidence
from widthwise.records.schema import COORDINATES, SCHEMA_VERSION, VARIABLES
from widthwise.study import Study

LAYERED = ("feature_kernel", "gradient_kernel")


def solve_fluctuations(limit: InfiniteWidthSolution, *, progress: Progress = SILENT) -> xr.Dataset:
    """Every observable of the study at infinite width, with its variance and mean shift at order 1/N.

    For a variable `v` the dataset has `v`, `v_variance` (N Var over initializations), `v_shift` (N (mean at
    width N - infinite width)) and, with `_stderr` added, the numerical standard error of each. With
    predictions comes `prediction_two_time_covariance`, N Cov(f(t), f(s)). A solution that diverged has NaN
    from the bad step on, and says so in `outcome`. Learning rules other than backpropagation have the
    infinite-width values alone, and so has a study whose order 1/N does not fit into memory: `warnings` say
    why, and what would fit. **Source:** Bordelon and Pehlevan, arXiv 2304.03408.
    """
    started, made_with = time.perf_counter(), evidence()
    fluctuations, missing = None, "" if limit.exact else without_corrections(limit.study, limit.points)
    if not missing:
        try:
            fluctuations = finite_width_corrections(limit, progress=progress)
        except DoesNotFit as error:  # as only the number of modes told
            missing = _left_out(error)
    variables = _variables(limit, fluctuations)
    axes = coordinates(limit.study, limit.points, limit.steps)
    if "prediction_two_time_covariance" in variables:
        axes["step_b"] = xr.Variable(
            ("step_b",), limit.steps, {"long_name": "second training step of a two-time quantity"}
        )
    dataset = xr.Dataset(variables, coords=axes)
    wall_time = limit.wall_time + time.perf_counter() - started
    attributes = _attributes(limit, fluctuations, made_with, wall_time, dataset, missing)
    return dataset.assign_attrs(attributes)


def without_corrections(study: Study, points: Points) -> str:
    """Why the theory of a study will be its infinite-width values alone, empty if it will not."""
    rule = study.training.learning_rule
    if not has_fluctuations(study):
        return f'Order 1/N is not known for training.learning_rule = "{rule}": values are of infinite width.'
    try:
        require_corrections(study, points)
    except DoesNotFit as error:
        return _left_out(error)
    return ""


def _left_out(error: DoesNotFit) -> str:
    return f"Order 1/N is left out for want of memory, values are of infinite width: {error}."


def _variables(
    limit: InfiniteWidthSolution, fluctuations: FiniteWidthCorrections | None
) -> dict[str, xr.Variable]:
    parts: dict[str, OrderParameters | None] = {"": limit.values, "_stderr": limit.stderr}
    if fluctuations is not None:
        parts |= {
            "_variance": fluctuations.variance,
            "_variance_stderr": fluctuations.variance_stderr,
            "_shift": fluctuations.shift,
            "_shift_stderr": fluctuations.shift_stderr,
        }
    variables = {"target": xr.Variable(("point", "output"), limit.points.targets)}
    for name in limit.study.theory.observables:
        for suffix, values in parts.items():
            if values is not None:
                variables[name + suffix] = variable(name, values, meaning(suffix))
    two_time = None if fluctuations is None else fluctuations.two_time
    if fluctuations is not None and two_time is not None and "prediction" in limit.study.theory.observables:
        name = "prediction_two_time_covariance"
        schema = VARIABLES[name]
        for suffix, array in (("", two_time), ("_stderr", fluctuations.two_time_stderr)):
            variables[name + suffix] = xr.Variable(
                schema.dims, array, {"long_name": schema.long_name + meaning(suffix)}
            )
    return variables


def variable(name: str, values: OrderParameters, meant: str) -> xr.Variable:
    """An order parameter, or a companion of it, as a variable of the dataset; `meant` ends its long name."""
    schema, array = VARIABLES[name], getattr(values, name)
    if name in LAYERED:
        array = np.moveaxis(array, 1, 0)
    return xr.Variable(schema.dims, array, {"long_name": schema.long_name + meant})


def meaning(suffix: str) -> str:
    """What a companion adds to the name of its variable."""
    quantity = {
        "": ", infinite width",
        "_variance": ", N times its variance over initializations",
        "_shift": ", N (mean at width N - infinite width)",
    }[suffix.removesuffix("_stderr")]
    return quantity + (", numerical standard error" if suffix.endswith("stderr") else "")


def coordinates(study: Study, points: Points, steps: Int[np.ndarray, " step"]) -> dict[str, xr.Variable]:
    """The axes of every order parameter of `study`."""
    values = {
        "step": steps,
        "point": np.arange(len(points.targets)),
        "point_b": np.arange(len(points.targets)),
        "output": np.arange(points.targets.shape[1]),
        "layer": np.arange(1, study.network.hidden_layers + 1),
        "split": np.array(points.splits, dtype=object),
    }
    return {
        name: xr.Variable(COORDINATES[name].dims, array, {"long_name": COORDINATES[name].long_name})
        for name, array in values.items()
    }


def _attributes(
    limit: InfiniteWidthSolution,
    fluctuations: FiniteWidthCorrections | None,
    made_with: dict[str, object],
    wall_time: float,
    dataset: xr.Dataset,
    missing: str,
) -> dict[str, object]:
    study = limit.study
    sites = 0 if fluctuations is None else fluctuations.sites
    by_networks = fluctuations is not None and bool(fluctuations.horizons)
    warnings = validity_warnings(dataset, study, limit.points.train, sites, by_networks=by_networks)
    if missing:
        warnings.append(missing)
    if fluctuations is not None:
        warnings += _beyond(fluctuations)
    if limit.flow_error > FLOW_TOLERANCE:
        warnings.append(
            f"The integration steps of the flow move the outputs by {limit.flow_error:.1e} of their size: "
            "raise training.substeps."
        )
    if limit.outcome != "solved":
        warnings.append(f"The infinitely wide network {limit.outcome}.")
    return origin(study, limit.points, made_with) | {
        "platform": str(made_with["platform"]),
        "device": str(made_with["device"]),
        "started": str(made_with["started"]),
        **({"seeds": "none"} if limit.exact else {}),
        "dtype": "float64",
        "solver": "single-site averages" if limit.exact is None else limit.exact.solver,
        "iterations": 1,
        "iteration_residual": 0.0,
        "flow_error": limit.flow_error,
        "fluctuation_sites": sites,
        **_driving(fluctuations),
        **_horizons(fluctuations, dataset),
        "outcome": limit.outcome,
        "wall_time": wall_time,
        "warnings": json.dumps(warnings),
    }


def origin(study: Study, points: Points, made_with: dict[str, object]) -> dict[str, object]:
    """Attributes that say of what, and with what, numbers of the theory were made."""
    return {
        "schema_version": SCHEMA_VERSION,
        "study": json.dumps(study.tables()),
        "study_hash": study.hash(),
        "theory_hash": theory_hash(study, points),
        "versions": json.dumps(made_with["versions"]),
        "commit": str(made_with["commit"] or "unknown"),
        "seeds": f"{study.theory.scramblings} scramblings of seed {study.theory.seed}",
    }


def _driving(fluctuations: FiniteWidthCorrections | None) -> dict[str, object]:
    if fluctuations is None or fluctuations.modes is None:
        return {}
    return {"modes": fluctuations.modes, "unexplained_scatter": fluctuations.unexplained}


def _beyond(fluctuations: FiniteWidthCorrections) -> list[str]:
    """Which companions end before the last step, one sentence for all that end alike."""
    ends: dict[Horizon, list[str]] = {}
    for name, horizon in fluctuations.horizons.items():
        if horizon.why and name.removesuffix("_variance").removesuffix("_shift") in (
            *fluctuations.limit.study.theory.observables,
        ):
            ends.setdefault(horizon, []).append(name)
    return [
        f"{', '.join(names)}: trusted until step {horizon.until}; {horizon.why}."
        for horizon, names in ends.items()
    ]


def _horizons(fluctuations: FiniteWidthCorrections | None, dataset: xr.Dataset) -> dict[str, object]:
    """How order 1/N was found, and of each companion the last step with numbers, and why it is the last."""
    if fluctuations is None:
        return {}
    found: dict[str, object] = {"estimator": fluctuations.estimator}
    last = int(dataset["step"].values[-1])
    for name in map(str, dataset.data_vars):
        if name.endswith(("_variance", "_shift", "_covariance")):
            horizon = fluctuations.horizons.get(name, Horizon(last, ""))
            found |= {f"{name}_trusted_until": horizon.until, f"{name}_why": horizon.why}
    return found


READ_OF_NETWORK = (
    "hidden_layers",
    "activation",
    "activation_scale",
    "activation_gain",
    "richness",
    "centered",
)
READ_OF_TRAINING = ("optimizer", "learning_rule", "learning_rate", "substeps", "loss", "reduction")


def theory_hash(study: Study, points: Points) -> str:
    """Content hash of all that the theory reads: settings, the points, and the steps that are recorded.

    What else is recorded, how networks are trained otherwise and where the points come from change nothing.
    """
    read = {
        "network": {name: getattr(study.network, name) for name in READ_OF_NETWORK},
        "training": {name: getattr(study.training, name) for name in READ_OF_TRAINING},
        "theory": study.tables()["theory"],
        "steps": study.recorded_steps().tolist(),
    }
    if study.training.optimizer == "gd":
        del read["training"]["substeps"]
    content = json.dumps(read, sort_keys=True)
    return f"{hashlib.sha256(content.encode()).hexdigest()}-{points.digest()}"
