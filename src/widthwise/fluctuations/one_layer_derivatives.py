"""Derivatives of variances and mean shifts of one hidden layer: tangents of the arithmetic of order 1/N.

The scores of the principal modes stay fixed. N Var and shift do not depend on which basis of the scatter is
used, as long as it holds the scatter and, here, the change of the scatter: so the modes are those of what the
sites contribute and of the derivative of that together.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from widthwise.data import Points
from widthwise.fluctuations.correction_memory import MODES_STEP, require_memory
from widthwise.fluctuations.corrections import Scattered, common_modes, principal_populations
from widthwise.fluctuations.one_layer_corrections import Corrections, one_layer_corrections, site_outputs
from widthwise.fluctuations.principal_modes import pad_modes
from widthwise.infinite_width.derivative_solvers import Derivative
from widthwise.infinite_width.replicates import map_replicates
from widthwise.infinite_width.site import Population, SiteProcess, site_process
from widthwise.infinite_width.theory_parameters import (
    Parameters,
    Problem,
    moved_population,
    moved_process,
    problem_of,
)
from widthwise.progress import SILENT, Progress
from widthwise.study import Study


def fluctuation_derivatives(
    study: Study, points: Points, direction: Parameters, *, progress: Progress = SILENT
) -> list[tuple[Derivative, Derivative]]:
    """(N Var, shift) at the recorded steps, each with its derivative, of every scrambling.

    About four times the time and memory of the variances and shifts alone: tangents, and twice the modes.
    **Errors:** `InputError` when the request cannot fit into memory.
    """
    steps = study.recorded_steps()
    with jax.enable_x64(True):
        process, problem = site_process(study, points), problem_of(study, points)
    require_memory(study, points, modes=4 * MODES_STEP)

    def contributions(population: Population) -> np.ndarray:
        outputs = _contributions((process, problem, direction), population, int(steps[-1]) + 1)
        columns = [np.asarray(each).reshape(-1, len(population.weights)).T for each in outputs]
        return np.concatenate(columns, axis=1)

    scattered = principal_populations(study, points, contributions, progress)
    modes = common_modes(scattered)
    require_memory(study, points, modes=2 * modes)
    kernels = any(name.endswith("kernel") for name in study.theory.observables)

    def solve(replicate: Scattered) -> tuple[Derivative, Derivative]:
        population, scores, _ = replicate
        padded, gaps = jnp.asarray(pad_modes(scores, modes).T), jnp.asarray(np.diff(steps, prepend=0))
        value, tangent = _corrections((process, problem, direction), (population, padded), gaps, kernels)
        return Derivative(value.variance, tangent.variance), Derivative(value.shift, tangent.shift)

    return map_replicates(solve, scattered, label="derivatives", progress=progress)


@eqx.filter_jit
def _contributions(
    moved_by: tuple[SiteProcess, Problem, Parameters], population: Population, steps: int
) -> tuple[Float[Array, "step train output site"], Float[Array, "step train output site"]]:
    """What each site contributes to the training outputs, and the derivative of that."""
    process, problem, direction = moved_by

    def at(parameters: Parameters):
        moved = moved_process(process, problem, parameters)
        return site_outputs(moved, moved_population(population, problem, parameters), steps)

    return jax.jvp(at, (problem.parameters,), (direction,))


@eqx.filter_jit
def _corrections(
    moved_by: tuple[SiteProcess, Problem, Parameters],
    driven: tuple[Population, Float[Array, "mode site"]],
    gaps: Int[Array, " step"],
    kernels: bool,
) -> tuple[Corrections, Corrections]:
    (process, problem, direction), (population, scores) = moved_by, driven

    def at(parameters: Parameters) -> Corrections:
        moved = moved_process(process, problem, parameters)
        start = moved_population(population, problem, parameters)
        return one_layer_corrections(moved, start, scores, gaps, kernels=kernels)

    return jax.jvp(at, (problem.parameters,), (direction,))
