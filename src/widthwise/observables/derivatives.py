"""Derivatives of the theory by richness, learning rate, targets or inputs, laid out like `theory.nc`."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Float

from widthwise.data import Points
from widthwise.data.load import load_points
from widthwise.errors import InputError
from widthwise.fluctuations.deep_derivatives import deep_variance_derivatives
from widthwise.fluctuations.one_layer_derivatives import fluctuation_derivatives
from widthwise.infinite_width import require_theory
from widthwise.infinite_width.derivative_solvers import (
    Derivative,
    derivative_solver,
    gradient_solver,
)
from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.infinite_width.replicates import map_replicates, mean_and_stderr, orders_and_stderr
from widthwise.infinite_width.solution_memory import require_memory_for_gradient, require_memory_for_values
from widthwise.infinite_width.solve import DIVERGED
from widthwise.infinite_width.supports import is_one_population
from widthwise.infinite_width.theory_parameters import Parameters
from widthwise.observables.theory_dataset import coordinates, meaning, origin, variable
from widthwise.progress import SILENT, Progress
from widthwise.records.evidence import evidence
from widthwise.study import Study

DIMS = {
    "richness": (),
    "learning_rate": (),
    "targets": ("point", "output"),
    "inputs": ("point", "dimension"),
}


def differentiate(
    study: Study,
    wrt: str = "richness",
    direction: Float[np.ndarray, "point column"] | None = None,
    *,
    points: Points | None = None,
    fluctuations: bool = True,
    progress: Progress = SILENT,
) -> xr.Dataset:
    r"""Every observable of the study and of order 1/N, with its derivative by one parameter.

    For a variable `v` the dataset has `v` and its companions as `solve_fluctuations` has them, and with
    `_derivative` added $\partial v / \partial \epsilon$, where the parameter is moved to parameter + epsilon
    direction; each has its `_stderr`. The solvers are causal, so the tangent of their one pass solves the
    linearized equations: implicit differentiation, with nothing iterated. The frozen Gaussians move with the
    inputs; see `infinite_width/theory_parameters.py`.

    **Arguments:** `wrt`: what to differentiate by. "richness" and "learning_rate" are numbers; "targets"
    and "inputs" need a `direction`, (point, output) or (point, dimension) for training and test points.
    A step keeps its number: with a flow its time is proportional to the learning rate.
    `fluctuations`: variances (any depth) and mean shifts (one hidden layer), else infinite width alone.
    **Returns:** a dataset; its attributes say what it was made from. Time: two to four times the theory's.
    **Errors:** `InputError` for a direction that does not fit, and for networks that diverge.
    **Source:** the equations of Bordelon and Pehlevan, arXiv 2205.09653 and 2304.03408, differentiated.
    """
    started, made_with = time.perf_counter(), evidence()
    require_theory(study)
    points = load_points(study) if points is None else points
    tangent = _direction(study, points, wrt, direction)
    steps = study.recorded_steps()
    require_memory_for_values(2 * len(steps), points.targets.shape, study.theory.scramblings)
    with jax.enable_x64(True):
        solver = derivative_solver(study, points, tangent)

    def solve(replicate: int) -> Derivative:
        return jax.tree.map(np.asarray, solver(replicate))

    values = map_replicates(
        solve, list(range(study.theory.scramblings)), label="infinite width", progress=progress
    )
    _require_finite(study, values)
    parts = _parts("", values)
    if fluctuations and is_one_population(study):
        both = fluctuation_derivatives(study, points, tangent, progress=progress)
        variances, shifts = zip(*both, strict=True)
        parts |= _parts("_variance", list(variances)) | _parts("_shift", list(shifts))
    elif fluctuations and study.training.learning_rule == "backpropagation":
        template = jax.tree.map(np.zeros_like, values[0].value)
        found = deep_variance_derivatives(study, points, tangent, template, progress=progress)
        parts |= _parts("_variance", found)
    variables = {"target": xr.Variable(("point", "output"), points.targets)}
    if direction is not None:
        variables["direction"] = xr.Variable(DIMS[wrt], direction, {"long_name": f"direction of the {wrt}"})
    for name in study.theory.observables:
        for suffix, part in parts.items():
            variables[name + suffix] = variable(name, part, _meaning(suffix, wrt))
    dataset = xr.Dataset(variables, coords=coordinates(study, points, steps))
    attributes = origin(study, points, made_with) | {"wall_time": time.perf_counter() - started}
    return dataset.assign_attrs(attributes, wrt=wrt)


def loss_gradient(study: Study, split: str = "train", *, points: Points | None = None) -> xr.Dataset:
    r"""The infinitely wide network's loss at the last recorded step, and its gradient by everything at once.

    **Arguments:** `split`: whose loss. **Returns:** `loss`, and its derivatives `richness_gradient`,
    `learning_rate_gradient`, `targets_gradient` (point, output) and `inputs_gradient` (point, dimension),
    each with `_stderr`; by one reverse pass, so that all cost about five times the loss alone. Inputs and
    targets are moved freely: the gradient is not projected on normalized inputs, or on probabilities.
    **Errors:** `InputError` for a split without points, too little memory, and networks that diverge.

    >>> import numpy as np, widthwise as ww
    >>> study = ww.Study(name="demo", network=ww.NetworkSettings(activation="linear"))
    >>> points = ww.Points(np.eye(2), np.array([[1.0], [-1.0]]), train=1)
    >>> gradient = ww.loss_gradient(study, "test", points=points)
    >>> gradient["targets_gradient"].to_numpy().round(6).ravel()
    array([ 0., -1.])
    """
    started, made_with = time.perf_counter(), evidence()
    require_theory(study)
    points = load_points(study) if points is None else points
    names = list(dict.fromkeys(points.splits))
    if split not in names:
        raise InputError(f"`split` = {split!r}: the points have {names}")
    require_memory_for_gradient(study, points)
    with jax.enable_x64(True):
        solver = gradient_solver(study, points, names.index(split))
    found = []
    for replicate in range(study.theory.scramblings):  # one after the other: memory
        with jax.enable_x64(True):
            found.append(jax.tree.map(np.asarray, solver(replicate)))
    if not all(abs(loss) < DIVERGED for loss, _ in found):
        raise InputError(_diverged(study))
    variables = {}

    def add(name: str, dims: tuple[str, ...], values: list[np.ndarray], long_name: str) -> None:
        pair = mean_and_stderr([value[None] for value in values])
        for suffix, array in zip(("", "_stderr"), pair, strict=True):
            text = long_name + (", numerical standard error" if suffix else "")
            variables[name + suffix] = xr.Variable(dims, array[0], {"long_name": text})

    add("loss", (), [loss for loss, _ in found], f"loss of the split {split} at the last recorded step")
    for name, dims in DIMS.items():
        values = [getattr(gradient, name) for _, gradient in found]
        add(f"{name}_gradient", dims, values, f"derivative of the loss by the {name}")
    attributes = origin(study, points, made_with) | {"wall_time": time.perf_counter() - started}
    step = int(study.recorded_steps()[-1])
    return xr.Dataset(variables).assign_attrs(attributes, split=split, step=step)


def _direction(
    study: Study, points: Points, wrt: str, direction: Float[np.ndarray, "point column"] | None
) -> Parameters:
    """Zero but for the parameter that moves."""
    if wrt not in DIMS:
        raise InputError(f"`wrt` = {wrt!r}: choose from {list(DIMS)}")
    with jax.enable_x64(True):
        zeros = (jnp.zeros(shape) for shape in ((), (), points.targets.shape, points.inputs.shape))
        nothing, one = Parameters(*zeros), jnp.ones(())
    if not DIMS[wrt]:
        if direction is not None:
            raise InputError(f"`direction` is given, but {wrt} is a number: leave the direction out")
        return nothing._replace(**{wrt: one})
    shape = getattr(nothing, wrt).shape
    if direction is None or direction.shape != shape or not np.isfinite(direction).all():
        given = "none" if direction is None else f"{direction.shape}"
        raise InputError(f"`direction` ({given}): to move {wrt} give finite numbers of shape {shape}")
    if wrt == "targets" and study.training.loss == "cross_entropy" and np.abs(direction.sum(1)).max() > 1e-6:
        raise InputError("`direction`: with cross-entropy targets are probabilities; its rows must add to 0")
    with jax.enable_x64(True):
        return nothing._replace(**{wrt: jnp.asarray(direction, dtype=float)})


def _parts(base: str, replicates: list[Derivative]) -> dict[str, OrderParameters]:
    """Means and standard errors over scramblings, by the suffix that they have in the dataset."""
    parts = {}
    for suffix, which in ((base, "value"), (f"{base}_derivative", "derivative")):
        parts[suffix], parts[f"{suffix}_stderr"] = orders_and_stderr(
            [getattr(each, which) for each in replicates]
        )
    return parts


def _meaning(suffix: str, wrt: str) -> str:
    if "_derivative" not in suffix:
        return meaning(suffix)
    base, after = suffix.split("_derivative")
    return meaning(base) + f", derivative by the {wrt}" + (", numerical standard error" if after else "")


def _require_finite(study: Study, values: list[Derivative]) -> None:
    for each in values:
        for leaf in (each.value.prediction, each.derivative.prediction, each.value.loss):
            if not (np.abs(leaf) < DIVERGED).all():
                raise InputError(_diverged(study))


def _diverged(study: Study) -> str:
    rate = study.training.learning_rate
    return f"diverged: there is no derivative; lower `training.learning_rate` = {rate} or take fewer steps"
