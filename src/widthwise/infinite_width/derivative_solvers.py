"""Derivatives of infinitely wide networks by richness, learning rate, targets and inputs.

The solvers are one causal pass, without iteration; so the tangent of the pass solves the linearized
self-consistent equations, which is what implicit differentiation of the fixed point gives.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from widthwise.data import Points
from widthwise.errors import InputError
from widthwise.infinite_width.arithmetic import PlainNumbers
from widthwise.infinite_width.causal_pass import (
    causal_pass,
    deep_noise,
    deep_process,
    evaluations,
    order_parameters,
)
from widthwise.infinite_width.deep_step import DeepProcess, LayerNoise
from widthwise.infinite_width.one_hidden_layer import draw_sites, population_averages
from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.infinite_width.site import Population, SiteProcess, site_process
from widthwise.infinite_width.supports import is_one_population
from widthwise.infinite_width.theory_parameters import (
    Parameters,
    Problem,
    moved_noise,
    moved_population,
    moved_process,
    problem_of,
)
from widthwise.study import Study


class Derivative(NamedTuple):
    """Order parameters, or a companion of theirs, and their derivative in a direction."""

    value: OrderParameters
    derivative: OrderParameters


def require_enough_sites(process: DeepProcess, sites: int, key: str) -> None:
    """Raise `InputError` where sampled kernels are singular: their Cholesky factors have no derivative."""
    points, outputs = process.targets.shape
    entries = process.steps * points * outputs
    if sites < entries:
        raise InputError(
            f"`{key}` = {sites}: kernels of {process.steps} steps, {points} points and {outputs} outputs on "
            f"so few sites are singular, and have no derivative: set at least {entries}, or take fewer steps"
        )


def derivative_solver(study: Study, points: Points, direction: Parameters) -> Callable[[int], Derivative]:
    """A function of a replicate's number: values at the recorded steps and their derivative.

    Twice to three times the time and memory of the values alone.
    """
    problem = problem_of(study, points)
    process, draw, at = _setting(study, points, study.recorded_steps())
    return lambda replicate: _derivative((process, problem, direction), draw(replicate), at)


def gradient_solver(
    study: Study, points: Points, split: int
) -> Callable[[int], tuple[Float[Array, ""], Parameters]]:
    """A function of a replicate's number: the last recorded step's loss on a split, by everything at once.

    By one reverse pass. It keeps the sites at every step: O(sites P steps) of memory with one hidden layer,
    O(layers sites P steps^2) with more.
    """
    problem = problem_of(study, points)
    process, draw, at = _setting(study, points, study.recorded_steps()[-1:])
    if isinstance(process, DeepProcess):
        return lambda replicate: _deep_gradient((process, problem), draw(replicate), at, split)
    last = int(study.recorded_steps()[-1])
    return lambda replicate: _gradient((process, problem), draw(replicate), last, split)


def _setting(
    study: Study, points: Points, steps: Int[np.ndarray, " step"]
) -> tuple[SiteProcess | DeepProcess, Callable[[int], Any], Int[Array, " step"]]:
    """The process, what a replicate draws of it, and where it is observed: gaps of steps, or evaluations."""
    sites, seed = study.theory.sites, study.theory.seed
    if is_one_population(study):
        gaps = jnp.asarray(np.diff(steps, prepend=0))
        return site_process(study, points), lambda n: draw_sites(study, points, sites, n), gaps
    deep = deep_process(study, points)
    require_enough_sites(deep, sites, "theory.sites")
    return deep, lambda n: deep_noise(deep, sites, (seed, n)), jnp.asarray(evaluations(study, steps))


def _observed(
    process: SiteProcess | DeepProcess, problem: Problem, drawn: Any, at: Int[Array, " step"]
) -> Callable[[Parameters], OrderParameters]:
    """What is observed, as a function of the parameters."""

    def observed(parameters: Parameters) -> OrderParameters:
        if isinstance(process, SiteProcess):
            population = moved_population(drawn, problem, parameters)
            return population_averages(moved_process(process, problem, parameters), population, at)
        moved = moved_process(process, problem, parameters)
        return order_parameters(moved, causal_pass(moved, moved_noise(drawn, problem, parameters))[1], at)

    return observed


@eqx.filter_jit
def _derivative(
    moved_by: tuple[SiteProcess | DeepProcess, Problem, Parameters], drawn: Any, at: Int[Array, " step"]
) -> Derivative:
    process, problem, direction = moved_by
    observed = _observed(process, problem, drawn, at)
    return Derivative(*jax.jvp(observed, (problem.parameters,), (direction,)))


@eqx.filter_jit
def _deep_gradient(
    setting: tuple[DeepProcess, Problem], noise: tuple[LayerNoise, ...], at: Int[Array, " step"], split: int
) -> tuple[Float[Array, ""], Parameters]:
    process, problem = setting
    observed = _observed(process, problem, noise, at)
    return jax.value_and_grad(lambda parameters: observed(parameters).loss[0, split])(problem.parameters)


@eqx.filter_jit
def _gradient(
    setting: tuple[SiteProcess, Problem], population: Population, last: int, split: int
) -> tuple[Float[Array, ""], Parameters]:
    process, problem = setting
    numbers, train = PlainNumbers(population.weights), process.train

    def loss(parameters: Parameters) -> Float[Array, ""]:
        moved = moved_process(process, problem, parameters)
        start = moved_population(population, problem, parameters).sites
        output = moved.output(numbers, start)
        initial = output if process.centered else jnp.zeros_like(output)

        @jax.checkpoint
        def tick(clocked, index):
            return moved.advance(clocked, moved.velocity(numbers, clocked.now, initial[:train]), index), None

        ended, _ = jax.lax.scan(tick, moved.start(start), jnp.arange(last * process.stages))
        return moved.losses((moved.output(numbers, ended.now) - initial)[..., 0])[split]

    return jax.value_and_grad(loss)(problem.parameters)
