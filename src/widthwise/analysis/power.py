"""What a test could have seen: its resolution, and what would settle it."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from numpy import ndarray, quantile
from scipy import stats

from widthwise.analysis.estimate import Estimate
from widthwise.analysis.signflip import student_t

MOST_SEEDS = 100_000
MOST_FINER = 10_000.0
FINER = (1.0, *(digit * power for power in (1.0, 10.0, 100.0, 1000.0) for digit in (1.5, 2.0, 3.0, 5.0, 7.0)))
POWER = 0.8  # a resolution is the effect that is seen with this probability
# What is asked for aims at less than what matters, since today's errors are themselves uncertain.
MARGIN = 0.85
BALANCE = 0.75  # of what is wanted is left to the seeds where both they and theory are a limit
LARGEST_OF_MANY = 6.0  # about the largest |t| of many elements, where seeds are too few to tell


@runtime_checkable
class Power(Protocol):
    """How a test's resolution depends on its level, on seeds and on theory's numerical error."""

    def smallest(self, level: float, more: int = 0, finer: float = 1.0) -> float:
        """The smallest effect seen with probability 0.8 at `level`, with `more` seeds at each width, and
        `finer` times as many scramblings of theory."""
        ...


@dataclass(frozen=True)
class SlopePower:
    """Of a null |estimate - expected| <= `tolerance` tested by Student's t.

    **Fields:** `estimates`, all of which must leave the interval; `seeds`, at the width with the fewest;
    `sides`, 2 where the null is a point and its p-value two-sided; `beyond`, how far each
    estimate lies outside of what is expected (negative inside), and `alpha`, at which their intervals exclude
    larger effects: a test of equivalence, at its own level, since all must pass for a "consistent". An effect
    is excluded if any of the estimates does, each at its share of `alpha`.

    >>> test = SlopePower((Estimate(1.0, 0.05, 10.0),), 0.1, 6)
    >>> round(test.smallest(0.05), 3), test.smallest(0.05) > test.smallest(0.05, more=6)
    (0.233, True)
    """

    estimates: tuple[Estimate, ...]
    tolerance: float
    seeds: int
    sides: int = 1
    beyond: tuple[float, ...] = ()
    alpha: float = 0.05

    def smallest(self, level: float, more: int = 0, finer: float = 1.0) -> float:
        """Tolerance plus critical value plus the 80 % point of the noise."""
        largest = 0.0
        for estimate in self.estimates:
            if math.isinf(estimate.error):
                return math.inf
            error, dof = self._error(estimate, more, finer)
            critical = float(stats.t.isf(level / self.sides, dof)) + float(stats.norm.ppf(POWER))
            largest = max(largest, self.tolerance + critical * error)
        return largest

    def excluded(self, more: int = 0, finer: float = 1.0) -> float:
        """The effect that the estimates' own intervals would exclude; infinite if none does."""
        found = math.inf
        for estimate, distance in zip(self.estimates, self.beyond, strict=False):
            if not math.isinf(estimate.error):
                error, dof = self._error(estimate, more, finer)
                found = min(found, distance + float(stats.t.isf(self.alpha / len(self.beyond), dof)) * error)
        return max(found, 0.0)

    def _error(self, estimate: Estimate, more: int, finer: float) -> tuple[float, float]:
        """An estimate's error and degrees of freedom with more seeds and a finer theory."""
        growth = (self.seeds + more) / self.seeds
        noise = math.sqrt(max(estimate.error**2 - estimate.numerical**2, 0.0) / growth)
        return math.hypot(noise, estimate.numerical / math.sqrt(finer)), estimate.dof * growth


@dataclass(frozen=True)
class LargestPower:
    """Of the largest |t| of many elements, judged by random signs of the seeds.

    **Fields:** `flipped`, the largest |T| under each choice of signs; `seeds`; `forgiven`, what is
    forgiven for theory's numerical error, in standard errors of the mean, the unit of the resolution.
    """

    flipped: Float[ndarray, " flip"]
    seeds: int
    forgiven: float

    def smallest(self, level: float, more: int = 0, finer: float = 1.0) -> float:
        """Infinite with so few seeds that no choice of signs is rare enough."""
        seeds = self.seeds + more
        if 0.5 ** (seeds - 1) > level:
            return math.inf
        critical = LARGEST_OF_MANY
        if len(self.flipped) * level >= 1:
            critical = student_t(float(quantile(self.flipped, 1 - level)), self.seeds)
        noise = (critical + float(stats.norm.ppf(POWER))) / math.sqrt(seeds / self.seeds)
        return noise + self.forgiven / math.sqrt(finer)


@dataclass(frozen=True)
class Remedy:
    """What would settle a test: more seeds at each width, and so many times the scramblings of theory."""

    seeds: int = 0
    finer: float = 1.0


def decisive(power: Power, level: float, more: int = 0, finer: float = 1.0) -> float:
    """The effect that a test would see or, of an exponent, the smaller one that its interval excludes."""
    resolution = power.smallest(level, more, finer)
    return min(resolution, power.excluded(more, finer)) if isinstance(power, SlopePower) else resolution


def settle(power: Power, level: float, useful: float) -> Remedy | None:
    """The least that brings the resolution well below `useful`: seeds if they do, else a finer theory, else
    both; None if nothing does."""
    wanted = MARGIN * useful
    if decisive(power, level) <= decisive(power, level, finer=MOST_FINER) * 1.4:  # theory's error is no limit
        seeds = _seeds(power, level, wanted, 1.0)
        if seeds is not None:
            return Remedy(seeds=seeds)
    if decisive(power, level, 0, MOST_FINER) <= BALANCE * wanted:
        seeds = 0
    else:  # what seeds leave over is theory's
        seeds = _seeds(power, level, BALANCE * wanted, MOST_FINER)
        if seeds is None:
            return None
    return Remedy(seeds=seeds, finer=_finer(power, level, wanted, seeds))


def _seeds(power: Power, level: float, wanted: float, finer: float) -> int | None:
    if decisive(power, level, MOST_SEEDS, finer) > wanted:
        return None
    low, high = 0, MOST_SEEDS
    while low < high:
        middle = (low + high) // 2
        if decisive(power, level, middle, finer) <= wanted:
            high = middle
        else:
            low = middle + 1
    return low


def _finer(power: Power, level: float, wanted: float, seeds: int) -> float:
    """The least of some round factors that will do."""
    for factor in FINER:
        if decisive(power, level, seeds, factor) <= wanted:
            return factor
    return MOST_FINER
