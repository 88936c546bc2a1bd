"""Whether infinite width fits into memory, known before anything is compiled, and what would fit."""

import os
from collections.abc import Callable
from typing import NamedTuple

from widthwise.data import Points
from widthwise.data.files import usable_bytes
from widthwise.errors import InputError
from widthwise.infinite_width.time_grid import count_evaluations
from widthwise.study import Study

DOUBLE = 8
FEWEST_SITES = 64  # with fewer a population says nothing


class DoesNotFit(InputError):
    """A request that is too large for this machine; the message says what would fit."""


class Size(NamedTuple):
    """What the memory of a request grows with; `steps` are training steps, `sites` of one population."""

    layers: int
    points: int
    outputs: int
    steps: int
    sites: int

    def __str__(self) -> str:
        return (
            f"{self.layers} layers, {self.points} points, {self.outputs} outputs and {self.steps} steps on "
            f"{self.sites} sites"
        )


def size_of(study: Study, points: Points, sites: int) -> Size:
    """Of a study on `points`, up to its last recorded step."""
    steps = int(study.recorded_steps()[-1]) + 1
    count, outputs = points.targets.shape
    return Size(study.network.hidden_layers, count, outputs, steps, sites)


def require_fitting(what: str, size: Size, needed: Callable[[Size], int], key: str) -> None:
    """Raise `DoesNotFit` unless `needed(size)` bytes may be used, with a smaller request that does fit.

    `key`: the setting of the number of sites. Fewer sites are tried first, then fewer steps on the fewest
    sites, then fewer points.
    """
    available = usable_bytes()
    if needed(size) <= available:
        return
    few = size._replace(sites=min(size.sites, FEWEST_SITES))

    def largest(name: str, start: Size) -> int:
        """The largest value of a field that fits, 0 if none; memory grows with it."""
        low, high = 0, getattr(start, name)
        while high - low > 1:
            middle = (low + high) // 2
            if needed(start._replace(**{name: middle})) <= available:
                low = middle
            else:
                high = middle
        return low

    sites = size.sites
    while sites > FEWEST_SITES and needed(size._replace(sites=sites)) > available:
        sites //= 2
    if needed(size._replace(sites=sites)) <= available:
        advice = f"`{key}` = {sites} fits"
    elif steps := largest("steps", few):
        advice = f"{steps} steps (`training.steps`) fit with `{key}` = {few.sites}"
    elif points := largest("points", few):
        advice = f"{points} points fit with `{key}` = {few.sites}"
    else:
        advice = "take a smaller network and fewer points"
    said = f"needs {needed(size) / 1e9:.2g} GB, and {available / 1e9:.2g} GB may be used"
    raise DoesNotFit(f"{what} of {size} {said}: {advice}")


def require_memory_for_values(steps: int, shape: tuple[int, int], replicates: int) -> None:
    """Raise `DoesNotFit` unless the order parameters of all replicates fit; `shape` is (points, outputs)."""
    points, outputs = shape
    needed = DOUBLE * (replicates + 2) * steps * points * (outputs + 3 * points)
    if needed > usable_bytes():
        raise DoesNotFit(
            f"order parameters of {steps} recorded steps and {points} points in {replicates} scramblings "
            f"need {needed / 1e9:.1f} GB, and {usable_bytes() / 1e9:.1f} GB may be used: record fewer steps "
            '(`record.steps` = "log" or a list) or take fewer points'
        )


def require_memory_for_pass(study: Study, points: Points) -> None:
    """Raise `DoesNotFit` unless the causal pass fits, whose kernels at all pairs of times grow fastest.

    As many scramblings at once as there are processors, each with the history and noise of its sites,
    Cholesky factors, and rows of four kernels and two drifts for every layer.
    """
    together = min(os.cpu_count() or 1, study.theory.scramblings)

    def needed(size: Size) -> int:
        fields, outputs = count_evaluations(study.training, size.steps - 1) * size.points, size.outputs
        kernels = fields**2 * (2 * (1 + outputs**2) + 4 * outputs)
        histories = 3 * size.sites * fields * (1 + outputs)
        return DOUBLE * together * size.layers * (kernels + histories)

    require_fitting("infinite width", size_of(study, points, study.theory.sites), needed, "theory.sites")


def require_memory_for_gradient(study: Study, points: Points) -> None:
    """Raise `DoesNotFit` unless a reverse pass fits, which keeps the sites at every step."""
    training = study.training
    stages = 4 * training.substeps if training.optimizer == "gradient_flow" else 1

    def needed(size: Size) -> int:
        if size.layers == 1:
            return DOUBLE * 3 * (size.steps - 1) * stages * size.sites * (size.points + size.outputs)
        return DOUBLE * 4 * size.layers * size.steps**2 * size.sites * size.points * (1 + size.outputs)

    require_fitting("a reverse pass", size_of(study, points, study.theory.sites), needed, "theory.sites")
