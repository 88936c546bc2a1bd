"""Derivatives of infinitely wide networks by richness, learning rate, targets and inputs.

The solvers are one causal pass, without iteration; so the tangent of the pass solves the linearized
self-consistent equations, which is what implicit differentiation of the fixed point gives.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from widthwise.data import Points
from widthwise.errors import InputError
from widthwise.infinite_width.arithmetic import PlainNumbers
from widthwise.infinite_width.deep import deep_noise, deep_process, evaluations, order_parameters, sweep
from widthwise.infinite_width.deep_step import DeepProcess, LayerNoise
from widthwise.infinite_width.one_hidden_layer import draw_sites, options, population
from widthwise.infinite_width.order_parameters import OrderParameters, loss_per_point, split_losses
from widthwise.infinite_width.site import Site, SiteProcess, site_process
from widthwise.infinite_width.theory_parameters import (
    Parameters,
    Problem,
    moved_noise,
    moved_process,
    moved_sites,
    problem_of,
)
from widthwise.study import Study


class Derivative(NamedTuple):
    """Order parameters, or a companion of theirs, and their derivative in a direction."""

    value: OrderParameters
    derivative: OrderParameters


def is_one_population(study: Study) -> bool:
    """Whether one population of sites that see only the outputs is the whole network."""
    return study.network.hidden_layers == 1 and study.training.learning_rule == "backpropagation"


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
    problem, steps = problem_of(study, points), study.recorded_steps()
    if not is_one_population(study):
        deep, at = deep_process(study, points), evaluations(study, steps)
        mean_loss = study.training.reduction == "mean"
        require_enough_sites(deep, study.theory.sites, "theory.sites")

        def observed(process, rows):
            return order_parameters(process, rows, at, mean_loss)

        def solve_deep(replicate: int) -> Derivative:
            noise = deep_noise(deep, study.theory.sites, (study.theory.seed, replicate))
            return Derivative(*jax.jvp(observed, *_deep_rows(deep, problem, direction, noise)))

        return solve_deep
    process, gaps = site_process(study, points), jnp.asarray(np.diff(steps, prepend=0))

    def solve(replicate: int) -> Derivative:
        sites = draw_sites(study, points, study.theory.sites, replicate)
        return _population(process, problem, direction, sites, gaps, options(study))

    return solve


@eqx.filter_jit
def _population(
    process: SiteProcess,
    problem: Problem,
    direction: Parameters,
    sites: tuple[Site, Float[Array, " site"]],
    gaps: Int[Array, " step"],
    settings: tuple[bool, bool],
) -> Derivative:
    def at(parameters: Parameters) -> OrderParameters:
        moved = moved_process(process, problem, parameters)
        start = moved_sites(sites[0], problem, parameters)
        return population(moved, start, sites[1], parameters.targets, gaps, *settings)

    return Derivative(*jax.jvp(at, (problem.parameters,), (direction,)))


@eqx.filter_jit
def _deep_rows(process: DeepProcess, problem: Problem, direction: Parameters, noise: tuple[LayerNoise, ...]):
    """(process, rows) and their tangents."""

    def at(parameters: Parameters):
        moved = moved_process(process, problem, parameters)
        return moved, sweep(moved, moved_noise(noise, problem, parameters))[1]

    return jax.jvp(at, (problem.parameters,), (direction,))


def gradient_solver(
    study: Study, points: Points, split: int
) -> Callable[[int], tuple[Float[Array, ""], Parameters]]:
    """A function of a replicate's number: the last recorded step's loss on a split, by everything at once.

    By one reverse pass. It keeps the sites at every step: O(sites P steps) of memory with one hidden layer,
    O(layers sites P steps^2) with more.
    """
    problem, last = problem_of(study, points), int(study.recorded_steps()[-1])
    centered, mean_loss = options(study)
    if not is_one_population(study):
        deep, at = deep_process(study, points), tuple(evaluations(study, np.array([last])).tolist())
        require_enough_sites(deep, study.theory.sites, "theory.sites")

        def solve_deep(replicate: int):
            noise = deep_noise(deep, study.theory.sites, (study.theory.seed, replicate))
            return _deep_gradient(deep, problem, noise, at, (mean_loss, split))

        return solve_deep
    process = site_process(study, points)

    def solve(replicate: int):
        sites = draw_sites(study, points, study.theory.sites, replicate)
        return _gradient(process, problem, sites, last, (centered, mean_loss, split))

    return solve


@eqx.filter_jit
def _gradient(
    process: SiteProcess,
    problem: Problem,
    sites: tuple[Site, Float[Array, " site"]],
    last: int,
    settings: tuple[bool, bool, int],
) -> tuple[Float[Array, ""], Parameters]:
    centered, mean_loss, split = settings
    numbers, train = PlainNumbers(sites[1]), process.train

    def loss(parameters: Parameters) -> Float[Array, ""]:
        moved = moved_process(process, problem, parameters)
        start = moved_sites(sites[0], problem, parameters)
        output = moved.output(numbers, start)
        initial = output if centered else jnp.zeros_like(output)

        @jax.checkpoint
        def tick(clocked, index):
            return moved.advance(clocked, moved.velocity(numbers, clocked.now, initial[:train]), index), None

        ended, _ = jax.lax.scan(tick, moved.start(start), jnp.arange(last * process.stages))
        prediction = (moved.output(numbers, ended.now) - initial)[..., 0]
        per_point = loss_per_point(parameters.targets, prediction, process.loss)
        return split_losses(per_point, train, mean_loss)[split]

    return jax.value_and_grad(loss)(problem.parameters)


@eqx.filter_jit
def _deep_gradient(
    process: DeepProcess,
    problem: Problem,
    noise: tuple[LayerNoise, ...],
    at: tuple[int, ...],
    settings: tuple[bool, int],
) -> tuple[Float[Array, ""], Parameters]:
    mean_loss, split = settings

    def loss(parameters: Parameters) -> Float[Array, ""]:
        moved = moved_process(process, problem, parameters)
        rows = sweep(moved, moved_noise(noise, problem, parameters))[1]
        return order_parameters(moved, rows, np.array(at), mean_loss).loss[0, split]

    return jax.value_and_grad(loss)(problem.parameters)
