"""Derivatives of variances at any depth: tangents through the sweeps, the adjoints and the contraction.

The frozen Gaussians and random signs stay fixed. As in the variance itself every product pairs two
independent populations, so that the derivative is not biased either.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from widthwise.data import Points
from widthwise.fluctuations.deep import BATCH, flat, placed, wanted_entries
from widthwise.fluctuations.deep_adjoint import adjoint
from widthwise.fluctuations.deep_covariance import DEEP_SITES, SEED_OF_FLUCTUATIONS
from widthwise.fluctuations.deep_variance import contracted
from widthwise.fluctuations.memory import require_deep_memory
from widthwise.infinite_width.deep import deep_noise, deep_process, evaluations, order_parameters, sweep
from widthwise.infinite_width.deep_step import DeepProcess
from widthwise.infinite_width.derivative import Derivative, require_enough_sites
from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.infinite_width.theory_parameters import (
    Parameters,
    Problem,
    moved_noise,
    moved_process,
    problem_of,
)
from widthwise.progress import SILENT, Progress
from widthwise.study import Study


def deep_variance_derivatives(
    study: Study,
    points: Points,
    direction: Parameters,
    template: OrderParameters,
    *,
    progress: Progress = SILENT,
) -> list[Derivative]:
    """N Var of the study's observables at its recorded steps with their derivatives, of every scrambling.

    About three times the time and memory of the variances alone. `template` has the shapes of the values;
    entries of observables that were not asked for are NaN. **Errors:** `InputError` if it cannot fit.
    """
    sites = study.theory.fluctuation_sites or DEEP_SITES
    wanted = wanted_entries(template, study.theory.observables)
    batches = [wanted[i : i + BATCH] for i in range(0, len(wanted), BATCH)]
    size = sum(leaf.size for leaf in template)
    found = []
    with jax.enable_x64(True):
        process, problem = deep_process(study, points), problem_of(study, points)
        observed = (tuple(evaluations(study, study.recorded_steps()).tolist()), study.training.reduction)
        require_enough_sites(process, sites, "theory.fluctuation_sites")
        require_deep_memory(process, sites, 2 * min(BATCH, len(wanted)))
        progress.start("derivatives", study.theory.scramblings * len(batches))
        for replicate in range(study.theory.scramblings):
            seed = (study.theory.seed, replicate, SEED_OF_FLUCTUATIONS)
            noises = [deep_noise(process, sites, (*seed, part), signs=part < 2) for part in range(3)]
            solved = _solved(process, problem, direction, noises)
            parts = []
            for batch in batches:
                padded = jax.nn.one_hot(np.resize(batch, len(batches[0])), size, dtype=float)
                both = _variances(solved, padded, observed)
                parts.append([np.asarray(each)[: len(batch)] for each in both])
                progress.advance()
            value, derivative = (np.concatenate(each) for each in zip(*parts, strict=True))
            steps = len(study.recorded_steps())
            found.append(Derivative(*(placed(each, wanted, template, steps) for each in (value, derivative))))
    return found


@eqx.filter_jit
def _solved(process: DeepProcess, problem: Problem, direction: Parameters, noises: list):
    """(process, Gaussians, sweeps) of three populations, and their tangents."""

    def at(parameters: Parameters):
        moved = moved_process(process, problem, parameters)
        at_start = [moved_noise(noise, problem, parameters) for noise in noises]
        return moved, at_start, [sweep(moved, noise) for noise in at_start]

    return jax.jvp(at, (problem.parameters,), (direction,))


@eqx.filter_jit
def _variances(
    solved: tuple, chosen: Float[Array, "observable entry"], observed: tuple[tuple[int, ...], str]
) -> tuple[Float[Array, " observable"], Float[Array, " observable"]]:
    """N Var of the chosen entries of the order parameters, and its tangent."""
    at, reduction = observed

    def variances(process, noises, sweeps):
        def observe(rows):
            return flat(order_parameters(process, rows, np.array(at), reduction == "mean"))

        adjoints = []
        for noise, (past, rows, drifts) in zip(noises[:2], sweeps[:2], strict=True):
            pull = jax.vjp(observe, rows)[1]
            adjoints.append(adjoint(process, noise, (past, drifts), jax.vmap(pull)(chosen)[0]))
        past, _, drifts = sweeps[2]
        return jnp.diag(contracted(process, (past, drifts), noises[2], (adjoints[0], adjoints[1])))

    return jax.jvp(variances, *solved)
