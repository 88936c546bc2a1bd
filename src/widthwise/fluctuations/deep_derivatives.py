"""Derivatives of variances at any depth: tangents through the passes, the adjoints and the contraction.

The frozen Gaussians and random signs stay fixed. As in the variance itself every product pairs two
independent populations, so that the derivative is not biased either.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from widthwise.data import Points
from widthwise.fluctuations.correction_memory import BATCH, require_deep_memory, sites_of
from widthwise.fluctuations.deep_adjoint import adjoint
from widthwise.fluctuations.deep_contraction import contracted
from widthwise.fluctuations.deep_covariance import SEED_OF_FLUCTUATIONS, slopes
from widthwise.fluctuations.deep_variances import AllOrderParameters, placed, wanted_entries
from widthwise.infinite_width.causal_pass import (
    causal_pass,
    deep_noise,
    deep_process,
    evaluations,
)
from widthwise.infinite_width.deep_step import DeepProcess
from widthwise.infinite_width.derivative_solvers import Derivative, require_enough_sites
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
    sites = sites_of(study, len(points.inputs))
    wanted = wanted_entries(template, study.theory.observables)
    batches = [wanted[i : i + BATCH] for i in range(0, len(wanted), BATCH)]
    found = []
    with jax.enable_x64(True):
        process, problem = deep_process(study, points), problem_of(study, points)
        observe = AllOrderParameters(jnp.asarray(evaluations(study, study.recorded_steps())))
        require_enough_sites(process, sites, "theory.fluctuation_sites")
        require_deep_memory(study, points, 2 * min(BATCH, len(wanted)))
        progress.start("derivatives", study.theory.scramblings * len(batches))
        for replicate in range(study.theory.scramblings):
            seed = (study.theory.seed, replicate, SEED_OF_FLUCTUATIONS)
            noises = [deep_noise(process, sites, (*seed, part), signs=part < 2) for part in range(3)]
            solved = _solved(process, problem, direction, noises)
            parts = []
            for batch in batches:
                padded = jnp.asarray(np.resize(batch, len(batches[0])))
                both = _variances(solved, observe, padded)
                parts.append([np.asarray(each)[: len(batch)] for each in both])
                progress.advance()
            value, derivative = (np.concatenate(each) for each in zip(*parts, strict=True))
            steps = len(study.recorded_steps())
            found.append(Derivative(*(placed(each, wanted, template, steps) for each in (value, derivative))))
    return found


@eqx.filter_jit
def _solved(process: DeepProcess, problem: Problem, direction: Parameters, noises: list):
    """(process, Gaussians, passes) of three populations, and their tangents."""

    def at(parameters: Parameters):
        moved = moved_process(process, problem, parameters)
        at_start = [moved_noise(noise, problem, parameters) for noise in noises]
        return moved, at_start, [causal_pass(moved, noise) for noise in at_start]

    return jax.jvp(at, (problem.parameters,), (direction,))


@eqx.filter_jit
def _variances(
    solved: tuple, observe: AllOrderParameters, chosen: Int[Array, " observable"]
) -> tuple[Float[Array, " observable"], Float[Array, " observable"]]:
    """N Var of the chosen entries of the order parameters, and its tangent."""

    def variances(process, noises, passes):
        adjoints = []
        for noise, (past, rows, drifts) in zip(noises[:2], passes[:2], strict=True):
            cotangents = slopes(process, rows, observe, chosen)
            adjoints.append(adjoint(process, noise, (past, drifts), cotangents))
        past, _, drifts = passes[2]
        return jnp.diag(contracted(process, (past, drifts), noises[2], (adjoints[0], adjoints[1])))

    return jax.jvp(variances, *solved)
