"""What a test could have seen: its resolution, and the seeds that would settle it."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from scipy import stats

from widthwise.analysis.estimate import Estimate

MOST_SEEDS = 1000
POWER = 0.8  # a resolution is the effect that is seen with this probability


@runtime_checkable
class Power(Protocol):
    """How a test's resolution depends on its level and on seeds."""

    def smallest(self, level: float, more: int = 0) -> float:
        """The smallest effect seen with probability 0.8 at `level`, with `more` seeds at each width."""
        ...


@dataclass(frozen=True)
class SlopePower:
    """Of an interval null |estimate - expected| <= `tolerance` tested by Student's t.

    **Fields:** `estimates`, all of which must leave the interval; `seeds`, at the width with the fewest.

    >>> test = SlopePower((Estimate(1.0, 0.05, 10.0),), 0.1, 6)
    >>> round(test.smallest(0.05), 3), test.smallest(0.05) > test.smallest(0.05, more=6)
    (0.233, True)
    """

    estimates: tuple[Estimate, ...]
    tolerance: float
    seeds: int

    def smallest(self, level: float, more: int = 0) -> float:
        """Tolerance plus critical value plus the 80 % point of the noise."""
        growth = (self.seeds + more) / self.seeds
        largest = 0.0
        for estimate in self.estimates:
            if math.isinf(estimate.error):
                return math.inf
            critical = float(stats.t.isf(level, estimate.dof * growth)) + float(stats.norm.ppf(POWER))
            largest = max(largest, self.tolerance + critical * estimate.error / math.sqrt(growth))
        return largest


def seeds_to_settle(power: Power, level: float, useful: float) -> int | None:
    """The fewest more seeds a width for which the resolution is `useful`; None if 1000 would not do.

    >>> seeds_to_settle(SlopePower((Estimate(1.0, 0.2, 4.0),), 0.1, 6), 0.05, 0.5)
    6
    """
    if power.smallest(level, MOST_SEEDS) > useful:
        return None
    low, high = 0, MOST_SEEDS
    while low < high:
        middle = (low + high) // 2
        if power.smallest(level, middle) <= useful:
            high = middle
        else:
            low = middle + 1
    return low
