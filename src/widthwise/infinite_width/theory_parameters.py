r"""What results are differentiated by: richness, learning rate, targets and inputs, as arrays.

Inputs act through K^x = x x^T / D and through the law of the fields at initialization, h ~ N(0, K^x). A
derivative needs the fields to move with the inputs: a network's own move as h = W x / sqrt(D) does, with its
weights W fixed. Of W the fields tell the part within the span of the inputs; the part outside has mean zero
given them, and what is linear in it averages to nothing. So to first order

$$ h(x) = h + (x - x_0) x_0^+ h, \qquad x_0^+ \text{ the pseudoinverse (dimension, point)}, $$

which has covariance K^x exactly to first order whatever the rank of the inputs: equal points may come apart,
and there may be more points than dimensions.
"""

from dataclasses import replace
from typing import NamedTuple, TypeVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from widthwise.data import Points
from widthwise.infinite_width.deep_step import DeepProcess, LayerNoise
from widthwise.infinite_width.site import Population, Site, SiteProcess
from widthwise.infinite_width.sites import RANK_TOLERANCE
from widthwise.study import Study

Process = TypeVar("Process", SiteProcess, DeepProcess)


class Parameters(NamedTuple):
    """A point in the space of problems, or a direction in it."""

    richness: Float[Array, ""]
    learning_rate: Float[Array, ""]
    targets: Float[Array, "point output"]
    inputs: Float[Array, "point dimension"]


class Problem(NamedTuple):
    """Where derivatives are taken: the parameters there, and the pseudoinverse of their inputs."""

    parameters: Parameters
    pseudoinverse: Float[Array, "dimension point"]


def problem_of(study: Study, points: Points) -> Problem:
    """The parameters of `study` on `points`."""
    parameters = Parameters(
        richness=jnp.asarray(study.network.richness, dtype=float),
        learning_rate=jnp.asarray(study.training.learning_rate, dtype=float),
        targets=jnp.asarray(points.targets, dtype=float),
        inputs=jnp.asarray(points.inputs, dtype=float),
    )
    # Singular values are square roots of the eigenvalues of the kernel that sites are drawn by.
    inverse = np.linalg.pinv(np.asarray(points.inputs, dtype=float), rcond=np.sqrt(RANK_TOLERANCE))
    return Problem(parameters, jnp.asarray(inverse))


def moved_process(process: Process, problem: Problem, parameters: Parameters) -> Process:
    """`process`, which is that of `problem`, at other parameters; rates are linear in the learning rate."""
    faster = parameters.learning_rate / problem.parameters.learning_rate
    kernel = parameters.inputs @ parameters.inputs.T / parameters.inputs.shape[1]
    moved = replace(process, input_kernel=kernel, targets=parameters.targets, richness=parameters.richness)
    if isinstance(moved, SiteProcess):
        return replace(moved, rate=faster * moved.rate)
    return replace(moved, rates=faster * moved.rates)


def moved_population(population: Population, problem: Problem, parameters: Parameters) -> Population:
    """Sites at initialization, at other parameters: right to first order in the inputs."""
    sites = population.sites
    return population._replace(sites=Site(sites.h + _moves(problem, parameters) @ sites.h, sites.w))


def moved_noise(
    noise: tuple[LayerNoise, ...], problem: Problem, parameters: Parameters
) -> tuple[LayerNoise, ...]:
    """Frozen Gaussians at other parameters: only the first layer's fields depend on them."""
    first = noise[0]
    return (first._replace(u=first.u + first.u @ _moves(problem, parameters).T), *noise[1:])


def _moves(problem: Problem, parameters: Parameters) -> Float[Array, "point point"]:
    """By how much the fields on each point (first axis) change for each field there was."""
    return (parameters.inputs - problem.parameters.inputs) @ problem.pseudoinverse
