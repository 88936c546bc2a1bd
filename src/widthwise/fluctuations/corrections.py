"""Order 1/N around an infinitely wide network: variances and mean shifts.

Begin here. Each independent scrambling of the sites gives every number once; the scatter of the
scramblings is the standard error.
"""

import time
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from widthwise.data import Points
from widthwise.errors import InputError
from widthwise.fluctuations.correction_memory import (
    MODES_STEP,
    require_memory,
    require_memory_for_corrections,
    sites_of,
)
from widthwise.fluctuations.deep_shift import deep_shifts
from widthwise.fluctuations.deep_variances import deep_variances
from widthwise.fluctuations.one_layer_corrections import Corrections, one_layer_corrections, site_outputs
from widthwise.fluctuations.principal_modes import modes_needed, pad_modes, principal_scores
from widthwise.infinite_width import InfiniteWidthSolution
from widthwise.infinite_width.one_hidden_layer import draw_sites
from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.infinite_width.replicates import map_replicates, mean_and_stderr
from widthwise.infinite_width.site import site_process
from widthwise.infinite_width.supports import is_one_population
from widthwise.progress import SILENT, Progress
from widthwise.study import Study

SEED_OF_FLUCTUATIONS = 1


@dataclass(frozen=True)
class FiniteWidthCorrections:
    """N Var and N (mean - infinite width) of the order parameters at the recorded steps, with errors.

    `two_time` is N Cov(f(t), f(s)) of each point and output; `sites`, of each scrambling; `modes`, how many
    principal modes carry the fluctuations; `unexplained`, the fraction of the driving scatter they leave
    out; `wall_time` in seconds.
    With more than one hidden layer there are no modes, and `two_time` is None for many predictions.
    """

    limit: InfiniteWidthSolution
    variance: OrderParameters
    variance_stderr: OrderParameters
    shift: OrderParameters
    shift_stderr: OrderParameters
    two_time: Float[np.ndarray, "step step point output"] | None
    two_time_stderr: Float[np.ndarray, "step step point output"] | None
    sites: int
    modes: int | None
    unexplained: float | None
    wall_time: float


def finite_width_corrections(
    limit: InfiniteWidthSolution, *, progress: Progress = SILENT
) -> FiniteWidthCorrections:
    """Variances and shifts around `limit`, to leading order in 1/N and to all orders in the richness.

    With more than one hidden layer see `deep_variances` and `deep_shifts`. One hidden layer costs
    O(modes sites P^2 steps) in time and O(modes sites P) in memory, where the modes number a few for each
    training point and output.
    From the first step that diverged on, every number is NaN.
    **Errors:** those of `require_corrections`, which can be asked before infinite width is solved.
    **Source:** Bordelon and Pehlevan, arXiv 2304.03408.
    """
    study, points, started = limit.study, limit.points, time.perf_counter()
    if (known := limit.exact) is not None:
        nothing = OrderParameters(*(np.zeros_like(leaf) for leaf in known.values))
        found = (known.variance, nothing, known.shift, nothing, known.two_time, np.zeros_like(known.two_time))
        return FiniteWidthCorrections(limit, *found, 0, None, None, time.perf_counter() - started)
    require_corrections(study, points)
    if not is_one_population(study):
        variances = deep_variances(limit, progress=progress)
        shift, shift_stderr = deep_shifts(limit, progress=progress)
        return FiniteWidthCorrections(
            limit,
            variances.variance,
            variances.variance_stderr,
            shift,
            shift_stderr,
            variances.two_time,
            variances.two_time_stderr,
            sites=sites_of(study, len(points.inputs)),
            modes=None,
            unexplained=None,
            wall_time=time.perf_counter() - started,
        )
    theory = study.theory
    with jax.enable_x64(True):
        process = site_process(study, points)
    finite = limit.finite_steps
    last = int(finite[-1]) if len(finite) else 0

    count = sites_of(study, len(points.inputs))

    def drive(replicate: int):
        population = draw_sites(study, points, count, replicate, SEED_OF_FLUCTUATIONS)
        outputs = site_outputs(process, population, last + 1)
        return population, np.asarray(outputs).reshape(-1, len(population.weights)).T

    driven = map_replicates(
        drive, list(range(theory.scramblings)), label="principal modes", progress=progress
    )
    # One after the other: the eigensolver has threads of its own.
    scattered = [(each, *principal_scores(columns, np.asarray(each.weights))) for each, columns in driven]
    modes = max(modes_needed(tail) for *_, tail in scattered)
    modes = -(-max(modes, 1) // MODES_STEP) * MODES_STEP
    require_memory(study, points, modes=modes)
    kernels = any(name.endswith("kernel") for name in theory.observables)

    gaps = jnp.asarray(np.diff(finite, prepend=0))

    def solve(replicate) -> Corrections:
        population, scores, _ = replicate
        padded = jnp.asarray(pad_modes(scores, modes).T)
        answer = one_layer_corrections(process, population, padded, gaps, kernels=kernels)
        return _padded(answer, len(limit.steps))

    answers = map_replicates(solve, scattered, label="fluctuations", progress=progress)
    variance, variance_stderr = _combined([a.variance for a in answers])
    shift, shift_stderr = _combined([a.shift for a in answers])
    two_time, two_time_stderr = mean_and_stderr([a.two_time for a in answers])
    unexplained = max(float(tail[min(modes, len(tail)) - 1]) if len(tail) else 0.0 for *_, tail in scattered)
    return FiniteWidthCorrections(
        limit,
        variance,
        variance_stderr,
        shift,
        shift_stderr,
        two_time,
        two_time_stderr,
        count,
        modes,
        unexplained,
        time.perf_counter() - started,
    )


def has_fluctuations(study: Study) -> bool:
    """Whether order 1/N of the study is known: the errors must travel back through the weights."""
    return study.training.learning_rule == "backpropagation"


def require_corrections(study: Study, points: Points) -> None:
    """Raise `InputError` where order 1/N is not known, and `DoesNotFit`, with what would, for want of memory.

    It reads no solution: ask before one is made.
    """
    if not has_fluctuations(study):
        raise InputError(
            f'`training.learning_rule` = "{study.training.learning_rule}": order 1/N is known for '
            '"backpropagation" alone; the infinite-width values exist for every rule'
        )
    require_memory_for_corrections(study, points)


def _combined(replicates: list[OrderParameters]) -> tuple[OrderParameters, OrderParameters]:
    pairs = [mean_and_stderr(leaves) for leaves in zip(*replicates, strict=True)]
    means, errors = zip(*pairs, strict=True)
    return OrderParameters(*means), OrderParameters(*errors)


def _padded(response: Corrections, steps: int) -> Corrections:
    """NaN at the recorded steps after a divergence."""

    def pad(values, time_axes: int) -> np.ndarray:
        values = np.asarray(values)
        widths = [(0, steps - size) if axis < time_axes else (0, 0) for axis, size in enumerate(values.shape)]
        return np.pad(values, widths, constant_values=np.nan)

    variance, shift = (
        OrderParameters(*(pad(leaf, 1) for leaf in part)) for part in (response.variance, response.shift)
    )
    return Corrections(variance, shift, pad(response.two_time, 2))
