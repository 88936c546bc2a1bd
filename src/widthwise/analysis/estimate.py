"""A number with its error: what every statistic of this room returns."""

import math
from dataclasses import dataclass

from scipy import stats


@dataclass(frozen=True)
class Estimate:
    """A measured number; an infinite `error` means that nothing was learned.

    **Fields:** `value`; `error`, its standard error, in the same unit; `dof`, the degrees of freedom of that
    error (Student's t); `numerical`, the part of the error that more networks do not lessen: theory's own.

    >>> Estimate(value=1.0, error=0.1, dof=math.inf).interval(0.05)
    (0.804..., 1.195...)
    >>> Estimate(value=1.0, error=math.inf, dof=1.0).p_value(3.0)
    1.0
    """

    value: float
    error: float
    dof: float
    numerical: float = 0.0

    def interval(self, alpha: float = 0.05) -> tuple[float, float]:
        """The central 1 - `alpha` interval, value -+ t error."""
        half = math.inf if math.isinf(self.error) else float(stats.t.isf(alpha / 2, self.dof)) * self.error
        return self.value - half, self.value + half

    def ratio_interval(self, alpha: float = 0.05) -> tuple[float, float]:
        """The same for a positive number, symmetric in its logarithm: never below zero."""
        if math.isinf(self.error) or self.value <= 0:
            return 0.0, math.inf
        half = float(stats.t.isf(alpha / 2, self.dof)) * self.error / self.value
        return self.value * math.exp(-half), self.value * math.exp(half)

    def p_value(self, expected: float) -> float:
        """Two-sided p-value of the hypothesis that the true value is `expected`."""
        if math.isinf(self.error):
            return 1.0
        if self.error == 0.0:
            return 1.0 if self.value == expected else 0.0
        return float(2.0 * stats.t.sf(abs(self.value - expected) / self.error, self.dof))
