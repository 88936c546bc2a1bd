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
from jaxtyping import Array, Int

from widthwise.data import Points
from widthwise.infinite_width.arithmetic import PlainNumbers
from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.infinite_width.site import Population, Site, SiteProcess, site_process
from widthwise.infinite_width.sites import gaussian_sites
from widthwise.study import Study


def one_hidden_layer_solver(study: Study, points: Points) -> Callable[[int], OrderParameters]:
    """A function of a replicate's number: its order parameters at the recorded steps."""
    process, steps = site_process(study, points), study.recorded_steps()
    gaps = jnp.asarray(np.diff(steps, prepend=0))

    def solve(replicate: int) -> OrderParameters:
        return population_averages(process, draw_sites(study, points, study.theory.sites, replicate), gaps)

    return solve


def draw_sites(study: Study, points: Points, sites: int, *seed: int) -> Population:
    """At most `sites` sites at initialization, and their weights; `seed` beside that of the study."""
    h, w, weights = gaussian_sites(
        points.input_kernel(),
        points.targets.shape[1],
        sites,
        (study.theory.seed, *seed),
    )
    return Population(Site(jnp.asarray(h.T), jnp.asarray(w.T)), jnp.asarray(weights))


@eqx.filter_jit
def population_averages(
    process: SiteProcess, population: Population, gaps: Int[Array, " step"]
) -> OrderParameters:
    """Averages over the sites at the recorded steps, which are `gaps` steps apart."""
    sites, weights = population
    numbers, train = PlainNumbers(weights), process.train
    start = process.output(numbers, sites)
    initial = start if process.centered else jnp.zeros_like(start)

    def to_next(clocked, gap):
        clocked = process.run(numbers, clocked, initial[:train], gap)
        features, backward = process.fields(numbers, clocked.now)
        prediction = (process.output(numbers, clocked.now) - initial)[..., 0]
        feature_kernel = (weights * features) @ features.T
        gradient_kernel = jnp.einsum("cmi,cni->mn", weights * backward, backward) / len(backward)
        averages = OrderParameters(
            prediction,
            process.losses(prediction),
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
    population, gaps = draw_sites(study, points, 64, 0), jnp.asarray(study.recorded_steps()[-1:])
    halved = replace(study, training=replace(training, substeps=2 * training.substeps))
    coarse, fine = (
        np.asarray(population_averages(site_process(each, points), population, gaps).prediction)
        for each in (study, halved)
    )
    return float(np.abs(coarse - fine).max() / max(np.abs(fine).max(), 1e-300))
