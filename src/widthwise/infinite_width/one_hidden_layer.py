"""Infinite width of one hidden layer: a population of sites stepped forward together.

The sites read each other only through the outputs; so one pass in time solves the self-consistent equations,
without iteration.
"""

from collections.abc import Callable
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from widthwise.data import Points
from widthwise.infinite_width.arithmetic import PlainNumbers
from widthwise.infinite_width.order_parameters import OrderParameters, loss_per_point, split_losses
from widthwise.infinite_width.site import Site, SiteProcess, site_process
from widthwise.infinite_width.sites import gaussian_sites
from widthwise.study import Study


def one_hidden_layer_solver(study: Study, points: Points) -> Callable[[int], OrderParameters]:
    """A function of a replicate's number: its order parameters at the recorded steps."""
    process, steps = site_process(study, points), study.recorded_steps()
    gaps, targets = jnp.asarray(np.diff(steps, prepend=0)), jnp.asarray(points.targets, dtype=float)

    def solve(replicate: int) -> OrderParameters:
        sites = draw_sites(study, points, study.theory.sites, replicate)
        return population(process, *sites, targets, gaps, *options(study))

    return solve


def draw_sites(study: Study, points: Points, sites: int, *seed: int) -> tuple[Site, Float[Array, " site"]]:
    """At most `sites` sites at initialization, and their weights; `seed` beside that of the study."""
    h, w, weights = gaussian_sites(
        points.input_kernel(),
        points.targets.shape[1],
        sites,
        (study.theory.seed, *seed),
    )
    return Site(jnp.asarray(h.T), jnp.asarray(w.T)), jnp.asarray(weights)


def options(study: Study) -> tuple[bool, bool]:
    """Whether outputs are centered, and losses averaged."""
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
            feature_kernel[None],
            gradient_kernel[None],
            feature_kernel + process.input_kernel * gradient_kernel,
        )
        return clocked, averages

    return jax.lax.scan(to_next, process.start(sites), gaps)[1]


def flow_error(study: Study, points: Points) -> float:
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
                *options(study),
            ).prediction
        )
        for s in (study, halved)
    )
    return float(np.abs(coarse - fine).max() / max(np.abs(fine).max(), 1e-300))
