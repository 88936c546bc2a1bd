"""Order 1/N around an infinitely wide network: variances and mean shifts.

Begin here. Each independent scrambling of the sites gives every number once; the scatter of the
scramblings is the standard error.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

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
from widthwise.fluctuations.deep_populations import deep_populations
from widthwise.fluctuations.deep_variances import deep_variances
from widthwise.fluctuations.horizon import (
    Companions,
    Horizon,
    replaced,
    solve_by_populations,
    unstable_from,
)
from widthwise.fluctuations.one_layer_corrections import Corrections, one_layer_corrections, site_outputs
from widthwise.fluctuations.populations import ShallowNetworks, root_of
from widthwise.fluctuations.principal_modes import modes_needed, pad_modes, principal_scores
from widthwise.infinite_width import InfiniteWidthSolution
from widthwise.infinite_width.one_hidden_layer import draw_sites
from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.infinite_width.replicates import (
    map_replicates,
    mean_and_stderr,
    nan_after,
    orders_and_stderr,
)
from widthwise.infinite_width.site import Population, site_process
from widthwise.infinite_width.supports import is_one_population
from widthwise.progress import SILENT, Progress
from widthwise.study import Study

SEED_OF_FLUCTUATIONS = 1
DERIVATIVES = "derivatives"
COMPARED = "derivatives, and networks without them where these are unstable or disagree"

# Scores (site, mode) and what is left out (mode); scramblings differ in how many modes they have.
Scattered = tuple[Population, Float[np.ndarray, "_ _"], Float[np.ndarray, "_"]]


@dataclass(frozen=True)
class FiniteWidthCorrections:
    """N Var and N (mean - infinite width) of the order parameters at the recorded steps, with errors.

    `two_time` is N Cov(f(t), f(s)) of each point and output; `sites`, of each scrambling; `modes`, how many
    principal modes carry the fluctuations; `unexplained`, the fraction of the driving scatter they leave
    out; `wall_time` in seconds.
    With more than one hidden layer there are no modes, and `two_time` is None for many predictions.
    `horizons`: until which step each companion is known, such as "loss_shift"; of those not named, all steps.
    `estimator`: how the numbers were found.
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
    horizons: dict[str, Horizon] = field(default_factory=dict)
    estimator: str = DERIVATIVES


def finite_width_corrections(
    limit: InfiniteWidthSolution, *, progress: Progress = SILENT
) -> FiniteWidthCorrections:
    """Variances and shifts around `limit`, to leading order in 1/N and to all orders in the richness.

    With more than one hidden layer see `deep_variances` and `deep_populations`. One hidden layer costs
    O(modes sites P^2 steps) in time and O(modes sites P) in memory, where the modes number a few for each
    training point and output.
    Averages of derivatives along the paths of sites fail where few of these, unstable, own them: from there
    on numbers are of networks without derivatives, and NaN where these show no leading order (`horizons`).
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
    sites = sites_of(study, len(points.inputs))
    solve = _of_one_layer if is_one_population(study) else _of_any_depth
    found = solve(limit, sites, progress)
    return FiniteWidthCorrections(
        limit,
        **found.companions._asdict(),
        sites=sites,
        modes=found.modes,
        unexplained=found.unexplained,
        wall_time=time.perf_counter() - started,
        horizons=found.horizons,
        estimator=found.estimator,
    )


class _Found(NamedTuple):
    """What `FiniteWidthCorrections` holds beside its limit, the number of sites and the time."""

    companions: Companions
    horizons: dict[str, Horizon]
    estimator: str
    modes: int | None = None
    unexplained: float | None = None


def _of_any_depth(limit: InfiniteWidthSolution, sites: int, progress: Progress) -> _Found:
    variance, stderr, two_time, two_time_stderr = deep_variances(limit, progress=progress)
    wide, count = deep_populations(limit, progress=progress), len(limit.steps)
    shift, shift_stderr = (
        OrderParameters(**{name: nan_after(each[i], count) for name, each in wide.shift.items()})
        for i in range(2)
    )
    companions = Companions(variance, stderr, shift, shift_stderr, two_time, two_time_stderr)
    return _Found(*replaced(companions, None, wide, limit.steps), COMPARED)


def _of_one_layer(limit: InfiniteWidthSolution, sites: int, progress: Progress) -> _Found:
    study, points = limit.study, limit.points
    with jax.enable_x64(True):
        process = site_process(study, points)
    finite = limit.finite_steps
    last = int(finite[-1]) if len(finite) else 0

    def contributions(population: Population) -> np.ndarray:
        outputs = site_outputs(process, population, last + 1)
        return np.asarray(outputs).reshape(-1, len(population.weights)).T

    scattered = principal_populations(study, points, contributions, progress)
    modes = common_modes(scattered)
    require_memory(study, points, modes=modes)
    kernels = any(name.endswith("kernel") for name in study.theory.observables)
    gaps = jnp.asarray(np.diff(finite, prepend=0))

    def solve(replicate: Scattered) -> Corrections:
        padded = jnp.asarray(pad_modes(replicate[1], modes).T)
        return one_layer_corrections(process, replicate[0], padded, gaps, kernels=kernels)

    answers = map_replicates(solve, scattered, label="fluctuations", progress=progress)
    steps = len(limit.steps)
    variance = orders_and_stderr([each.variance for each in answers], steps)
    shift = orders_and_stderr([each.shift for each in answers], steps)
    first, second = (nan_after(x, steps, 2) for x in mean_and_stderr([each.two_time for each in answers]))
    companions, horizons, estimator = Companions(*variance, *shift, first, second), {}, DERIVATIVES
    unstable = unstable_from([np.asarray(each.carried_by) for each in answers], sites)
    # The kink of relu is smoothed where it is differentiated: both estimates are compared at every step.
    if unstable is not None or study.network.activation == "relu":
        with jax.enable_x64(True):
            networks = ShallowNetworks(process, root_of(process.input_kernel), gaps)
            cost = float((last + 1) * process.stages * (len(points.inputs) ** 2 + 50))
            blocks, seed = study.theory.scramblings, study.theory.seed
            wide = solve_by_populations(networks, cost, blocks, seed, progress=progress)
        companions, horizons = replaced(companions, unstable, wide, limit.steps)
        estimator = COMPARED
    unexplained = max(float(tail[min(modes, len(tail)) - 1]) if len(tail) else 0.0 for *_, tail in scattered)
    return _Found(companions, horizons, estimator, modes, unexplained)


def principal_populations(
    study: Study, points: Points, contributions: Callable[[Population], np.ndarray], progress: Progress
) -> list[Scattered]:
    """Of every scrambling the sites, their scores along the principal modes, and what these leave out.

    **Arguments:** `contributions` of each site to what drives the fluctuations, (site, column).
    """
    count = sites_of(study, len(points.inputs))

    def drive(replicate: int) -> tuple[Population, np.ndarray]:
        population = draw_sites(study, points, count, replicate, SEED_OF_FLUCTUATIONS)
        return population, contributions(population)

    jobs = list(range(study.theory.scramblings))
    driven = map_replicates(drive, jobs, label="principal modes", progress=progress)
    # One after the other: the eigensolver has threads of its own.
    return [(each, *principal_scores(columns, np.asarray(each.weights))) for each, columns in driven]


def common_modes(scattered: list[Scattered]) -> int:
    """How many modes serve all scramblings, rounded up so that near cases share a compiled program."""
    return -(-max(1, *(modes_needed(tail) for *_, tail in scattered)) // MODES_STEP) * MODES_STEP


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
