"""Whether order 1/N fits into this machine's memory, known before infinite width is solved."""

import os

import numpy as np

from widthwise.data import Points
from widthwise.infinite_width.deep_step import DeepProcess
from widthwise.infinite_width.solution_memory import DOUBLE, Size, require_fitting, size_of
from widthwise.infinite_width.supports import is_one_population
from widthwise.infinite_width.time_grid import count_evaluations
from widthwise.study import Study

FRESH = 4  # sites to average over for each of a population for adjoints: they cost little, and matter more
CHUNK = 4  # sites whose Jacobians are in memory at once
WORKING_COPIES = 8  # arrays (mode, site, point) alive at once: state, its successor, Taylor terms
MODES_STEP = 8  # the number of modes is rounded up, so that near cases share a compiled program
DEEP_SITES = 1024  # when the study leaves their number open
BATCH = 16  # observables whose reverse passes share their work
TOGETHER = 48  # predictions up to which all are one batch, for the sake of their covariances in time


def sites_of(study: Study, points: int) -> int:
    """Sites of each population: those of the study, or as many as are affordable, a power of two.

    With one hidden layer fewer for more points.

    >>> [sites_of(Study(name="a"), points) for points in (1, 2, 12, 24)]
    [4096, 4096, 512, 512]
    """
    if study.theory.fluctuation_sites or not is_one_population(study):
        return study.theory.fluctuation_sites or DEEP_SITES
    return int(2 ** np.clip(np.floor(np.log2(8192 / points)), 9, 12))


def require_memory(study: Study, points: Points, *, modes: int = MODES_STEP) -> None:
    """Raise `DoesNotFit`, with what would fit, unless the corrections of one hidden layer fit.

    `modes`: how many there are; before they are known, the fewest.
    """
    together = min(os.cpu_count() or 1, study.theory.scramblings)
    share = len(study.recorded_steps()) / (int(study.recorded_steps()[-1]) + 1)

    def needed(size: Size) -> int:
        _, points, outputs, steps, sites = size
        tangents = WORKING_COPIES * modes * sites * points * (1 + outputs)
        driven = steps * sites * points * outputs  # at every step; influences at recorded steps
        recorded = int(np.ceil(share * steps))
        kept = recorded * sites * points * outputs + recorded**2 * points * outputs + 8 * recorded * points**2
        return DOUBLE * together * (max(driven, kept) + tangents)

    size = size_of(study, points, sites_of(study, len(points.inputs)))
    require_fitting(f"order 1/N by {modes} modes", size, needed, "theory.fluctuation_sites")


def require_deep_memory(study: Study, points: Points, batch: int) -> None:
    """Raise `DoesNotFit`, with what would fit, unless a batch of so many adjoints fits."""
    size = size_of(study, points, sites_of(study, len(points.inputs)))

    def needed(tried: Size) -> int:
        # Of a smaller study all observables may be one batch.
        same = tried[:-1] == size[:-1]
        evaluations = count_evaluations(study.training, tried.steps - 1)
        return deep_bytes(tried, evaluations, batch if same else max(batch, TOGETHER))

    require_fitting("order 1/N", size, needed, "theory.fluctuation_sites")


def require_memory_for_corrections(study: Study, points: Points) -> None:
    """Raise `DoesNotFit`, with what would fit, unless order 1/N fits as far as is known beforehand."""
    if is_one_population(study):
        require_memory(study, points)
    else:
        require_deep_memory(study, points, largest_batch(study, points))


def largest_batch(study: Study, points: Points) -> int:
    """How many observables of the study share a reverse pass, at most."""
    steps, (count, outputs) = len(study.recorded_steps()), points.targets.shape
    layers, pairs = study.network.hidden_layers, count * (count + 1) // 2
    entries = {
        "prediction": steps * count * outputs,
        "loss": steps * len(set(points.splits)),
        "feature_kernel": steps * layers * pairs,
        "gradient_kernel": steps * layers * pairs,
        "tangent_kernel": steps * pairs,
    }
    wanted = sum(entries[name] for name in study.theory.observables)
    predictions = entries["prediction"] if "prediction" in study.theory.observables else 0
    return max(len(batch) for batch in batches(np.arange(wanted), predictions)) if wanted else 0


def batches(wanted: np.ndarray, predictions: int) -> list[np.ndarray]:
    """Entries whose reverse passes go together; the `predictions`, which come first, all in one if few."""
    together = predictions if predictions <= TOGETHER else 0
    if together and len(wanted) <= TOGETHER:
        return [wanted]
    rest = wanted[together:]
    found = [wanted[:together]] if together else []
    return found + [rest[i : i + BATCH] for i in range(0, len(rest), BATCH)]


def deep_bytes(size: Size, evaluations: int, batch: int) -> int:
    """Peak bytes of one batch: what its reverse pass keeps, three populations, rows, and Jacobians.

    In units of an array (site, field) in double precision for each layer: a population for adjoints has three
    copies and as much noise again in single precision, the one averaged over its noise and activity twice.
    """
    each = size.points * size.outputs
    fields, kernels = evaluations * (size.points + each), evaluations**2 * (size.points**2 + each**2)
    populations = size.sites * fields * (2 * 3 + FRESH * 8)
    reverse = batch * (1.5 * size.sites * fields + 5 * kernels)
    jacobians = CHUNK * fields**2 * (3 + batch)
    return int(DOUBLE * (size.layers * (populations + reverse + 4 * kernels) + jacobians))


def quadratic_sites(fields: int) -> int:
    """How many sites average what is quadratic in J, which is dearest and varies least."""
    return int(np.clip(16 * (200 / fields) ** 3, 16, 64))


def deep_seconds(process: DeepProcess, sites: int, batches: list[int], one_pass: float) -> float:
    """About how long the batches of one scrambling take, from the measured time of `one_pass`.

    Counted in products of (site, field) arrays with kernels: twelve for each layer and step of a pass,
    thirty more for an adjoint and ten for a contraction; Jacobians besides.
    """
    points, outputs = process.targets.shape
    fields = process.steps * points * outputs
    jacobians = 24 * quadratic_sites(fields) * fields / sites if process.depth > 1 else 0.0
    products = sum(2 * 12 + batch * (2 * 18 + 10 + jacobians) for batch in batches)
    return one_pass * (3 + products / 12)
