"""Infinite width, one hidden layer: the order parameters of a study, with their numerical errors.

Begin here. The sites of a population, stepped forward together, read each other only through the
outputs; so one pass in time solves the self-consistent equations, without iteration.
"""

import time
from dataclasses import dataclass, replace
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from widthwise.data import Points
from widthwise.data.load import load_points
from widthwise.errors import InputError
from widthwise.infinite_width.numbers import PlainNumbers
from widthwise.infinite_width.replicates import map_replicates, mean_and_stderr
from widthwise.infinite_width.site import Site, SiteProcess, loss_per_point, site_process
from widthwise.infinite_width.sites import gaussian_sites
from widthwise.progress import SILENT, Progress
from widthwise.study import Study

DIVERGED = 1e30  # outputs beyond this are on their way to infinity; their powers are still finite
FLOW_TOLERANCE = 1e-5  # relative change of the outputs when the flow's steps are halved


class OrderParameters(NamedTuple):
    """Population averages at the recorded steps; equal times; order 1 in N. Kernels: mean over outputs."""

    prediction: Float[Array | np.ndarray, "step point output"]
    loss: Float[Array | np.ndarray, "step split"]
    feature_kernel: Float[Array | np.ndarray, "step point point"]
    gradient_kernel: Float[Array | np.ndarray, "step point point"]
    tangent_kernel: Float[Array | np.ndarray, "step point point"]


@dataclass(frozen=True)
class InfiniteWidthSolution:
    """The infinitely wide network of a study.

    **Fields:** `steps`, recorded steps; `values` and `stderr`, order parameters and their standard errors
    from independent scramblings; `diverged_at`, the first recorded step without a finite value (NaN from
    there on) or None; `flow_error`, relative change of the outputs when the integration steps are halved
    (zero for gradient descent); `wall_time` in seconds; `outcome`, with advice unless it is "solved".
    """

    study: Study
    points: Points
    steps: Int[np.ndarray, " step"]
    values: OrderParameters
    stderr: OrderParameters
    diverged_at: int | None
    flow_error: float
    wall_time: float
    outcome: str


def solve_infinite_width(
    study: Study, *, points: Points | None = None, progress: Progress = SILENT, throw: bool = True
) -> InfiniteWidthSolution:
    """Solve the infinitely wide network of `study`, one hidden layer.

    **Arguments:** `points`: in place of those the study names. `throw`: raise when the outputs diverge;
    otherwise the values are NaN from the bad step on and `outcome` gives the advice.
    **Returns:** an `InfiniteWidthSolution`. Costs O(sites P^2 steps) in time, O(sites P) in memory.
    **Errors:** `InputError` for more than one hidden layer, for a loss that the targets do not fit, and
    for divergence. **Source:** Bordelon and Pehlevan, arXiv 2205.09653.
    """
    if study.network.hidden_layers != 1:
        raise InputError(
            f"`network.hidden_layers` = {study.network.hidden_layers}: the theory solves one hidden layer; "
            "`widthwise train` takes any depth"
        )
    points = load_points(study) if points is None else points
    started, steps = time.perf_counter(), study.recorded_steps()
    with jax.enable_x64(True):
        process = site_process(study, points)
        flow_error = _flow_error(study, points)
    gaps = np.diff(steps, prepend=0)

    def solve(replicate: int) -> OrderParameters:
        sites = draw_sites(study, points, study.theory.sites, replicate)
        averages = population(
            process, *sites, jnp.asarray(points.targets), jnp.asarray(gaps), *_options(study)
        )
        return jax.tree.map(np.asarray, averages)

    replicates = map_replicates(
        solve, list(range(study.theory.scramblings)), label="infinite width", progress=progress
    )
    pairs = [mean_and_stderr(leaves) for leaves in zip(*replicates, strict=True)]
    values, stderr = (OrderParameters(*leaves) for leaves in zip(*pairs, strict=True))
    bad = ~(np.abs(values.prediction).max(axis=(1, 2)) < DIVERGED) | ~np.isfinite(values.loss).all(axis=1)
    diverged_at, outcome = None, "solved"
    if bad.any():
        first = int(np.argmax(bad))
        diverged_at = int(steps[first])
        outcome = (
            f"diverged: the outputs are not finite from step {diverged_at} on; "
            f"lower `training.learning_rate` = {study.training.learning_rate}"
        )
        if throw:
            raise InputError(outcome)
        for leaf in (*values, *stderr):
            leaf[first:] = np.nan
    return InfiniteWidthSolution(
        study, points, steps, values, stderr, diverged_at, flow_error, time.perf_counter() - started, outcome
    )


def draw_sites(study: Study, points: Points, sites: int, *seed: int) -> tuple[Site, Float[Array, " site"]]:
    """At most `sites` sites at initialization, and their weights; `seed` beside that of the study."""
    h, w, weights = gaussian_sites(
        points.input_kernel(),
        points.targets.shape[1],
        sites,
        (study.theory.seed, *seed),
    )
    return Site(jnp.asarray(h.T), jnp.asarray(w.T)), jnp.asarray(weights)


def _options(study: Study) -> tuple[bool, bool]:
    return study.network.centered, study.training.reduction == "mean"


@eqx.filter_jit
def population(
    process: SiteProcess,
    sites: Site,
    weights: Float[Array, " site"],
    targets: Float[Array, "point output"],
    gaps: Int[Array, " step"],
    centered: bool,
    mean_loss: bool,
) -> OrderParameters:
    """Averages over `sites` at the recorded steps, which are `gaps` steps apart."""
    numbers, train = PlainNumbers(weights), process.train
    start = process.output(numbers, sites)
    initial = start if centered else jnp.zeros_like(start)

    def to_next(clocked, gap):
        clocked = process.run(numbers, clocked, initial[:train], gap)
        features, backward = process.fields(numbers, clocked.now)
        prediction = (process.output(numbers, clocked.now) - initial)[..., 0]
        feature_kernel = (weights * features) @ features.T
        gradient_kernel = jnp.einsum("cmi,cni->mn", weights * backward, backward) / len(backward)
        averages = OrderParameters(
            prediction,
            split_losses(loss_per_point(targets, prediction, process.loss), train, mean_loss),
            feature_kernel,
            gradient_kernel,
            feature_kernel + process.input_kernel * gradient_kernel,
        )
        return clocked, averages

    return jax.lax.scan(to_next, process.start(sites), gaps)[1]


def split_losses(
    per_point: Float[Array, "*extra point"], train: int, mean_loss: bool
) -> Float[Array, "*extra split"]:
    """Per-point losses reduced over training points and, if there are any, over test points."""
    reduce = jnp.mean if mean_loss else jnp.sum
    splits = [per_point[..., :train], per_point[..., train:]]
    return jnp.stack([reduce(part, axis=-1) for part in splits if part.shape[-1]], axis=-1)


def _flow_error(study: Study, points: Points) -> float:
    """Relative change of the outputs at the last step when the Runge-Kutta steps are halved."""
    training = study.training
    if training.optimizer == "gd":
        return 0.0
    sites = draw_sites(study, points, 64, 0)
    gaps = np.array([training.steps - 1])
    halved = replace(study, training=replace(training, substeps=2 * training.substeps))
    coarse, fine = (
        np.asarray(
            population(
                site_process(s, points),
                *sites,
                jnp.asarray(points.targets),
                jnp.asarray(gaps),
                *_options(study),
            ).prediction
        )
        for s in (study, halved)
    )
    return float(np.abs(coarse - fine).max() / max(np.abs(fine).max(), 1e-300))
