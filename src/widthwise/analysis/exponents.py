"""Exponents of width from one number a network: tested with few seeds, and with room for finite width."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from widthwise.analysis.estimate import Estimate
from widthwise.analysis.fits import combine

# Logarithms of numbers in single precision, averaged over many entries.
ROUNDING = 1e-4


@dataclass(frozen=True)
class Exponent:
    """The slope of log v against log N over all widths, and over the wider ones alone."""

    overall: Estimate
    wide: Estimate

    def p_value(self, low: float, high: float, tolerance: float) -> float:
        """Of the null that the exponent lies between `low` and `high`, or outside by at most `tolerance`.

        The larger of both slopes' p-values, on the same side: a bend that the narrowest widths cause fades
        from the wider ones, a wrong exponent does not. Each is at most its level at the ends of the null.
        """
        above = self.overall.value > (low + high) / 2
        edge = high + tolerance if above else low - tolerance
        one_sided = [one_sided_p(part, edge, above=above) for part in (self.overall, self.wide)]
        other = one_sided_p(self.overall, low - tolerance if above else high + tolerance, above=not above)
        return min(1.0, max(one_sided) + min(other, max(one_sided)))


def one_sided_p(estimate: Estimate, edge: float, *, above: bool) -> float:
    """P-value of the null that the true value is not beyond `edge`, above it or below it."""
    beyond = estimate.value - edge if above else edge - estimate.value
    if math.isinf(estimate.error):
        return 1.0
    if estimate.error == 0:
        return 0.0 if beyond > 0 else 1.0
    return float(stats.t.sf(beyond / estimate.error, estimate.dof))


def fit_exponent(
    widths: Sequence[int], logs: Sequence[Float[np.ndarray, " _"]], *, rounding: float = ROUNDING
) -> Exponent:
    r"""Least squares over widths, unweighted, of the seeds' mean logarithms.

    $$\hat a = \sum_N b_N \bar y_N, \qquad b_N = \frac{x_N - \bar x}{\sum (x - \bar x)^2}, \quad x = \log N$$

    The coefficients do not depend on what was measured, so Student's t with Welch's degrees of freedom holds
    for Gaussian logarithms whatever their scatter at each width. The scatter of a few seeds is itself
    uncertain; it changes smoothly with the width, so each width's variance is averaged with that of a power
    law through all of them, which doubles its degrees of freedom. That of `rounding` is added.

    **Arguments:** `widths`, two or more, ascending; `logs`, log v of each seed, at each width. A width with
    one seed has no scatter of its own: the error is then infinite.
    **Source:** of variances moderated by a trend: Smyth (2004), Stat. Appl. Genet. Mol. Biol. 3, 3.
    """
    dofs = np.array([len(values) - 1.0 for values in logs])
    if (dofs < 1).any():
        return fit_estimates(widths, [Estimate(float(v.mean()), math.inf, 1.0) for v in logs])
    variances = np.array([values.var(ddof=1) for values in logs])
    trend = _trend(np.log(np.array(widths, dtype=float)), variances, dofs)
    errors = np.sqrt((variances + trend) / 2 + rounding**2) / np.sqrt(dofs + 1)
    measured = [
        Estimate(value=float(values.mean()), error=float(error), dof=2 * float(dof))
        for values, error, dof in zip(logs, errors, dofs, strict=True)
    ]
    return fit_estimates(widths, measured)


def _trend(
    x: Float[np.ndarray, " width"], variances: Float[np.ndarray, " width"], dofs: Float[np.ndarray, " width"]
) -> Float[np.ndarray, " width"]:
    """A power of the width between 0 and -2 through the variances, with their weighted mean level."""
    if not (variances > 0).all():
        return np.full(len(x), float(dofs @ variances / dofs.sum()))
    power = min(0.0, max(-2.0, float(slope_coefficients(x) @ np.log(variances))))
    shape = np.exp(power * (x - x.mean()))
    return shape * float(dofs @ (variances / shape) / dofs.sum())


def fit_estimates(widths: Sequence[int], measured: Sequence[Estimate]) -> Exponent:
    """The same from a logarithm with its error at each width."""
    first = first_wide(len(widths))
    x = np.log(np.array(widths, dtype=float))
    overall = combine(slope_coefficients(x), list(measured))
    return Exponent(overall=overall, wide=combine(slope_coefficients(x[first:]), list(measured[first:])))


def first_wide(widths: int) -> int:
    """From which of so many widths on they count as the wider ones: more than half, at least two."""
    return widths - max(2, widths // 2 + 1)


def slope_coefficients(x: Float[np.ndarray, " width"]) -> Float[np.ndarray, " width"]:
    """b such that sum b y is the least-squares slope of y against x.

    >>> float(slope_coefficients(np.array([0.0, 1.0, 2.0])) @ np.array([5.0, 7.0, 9.0]))
    2.0
    """
    centered = x - x.mean()
    return centered / (centered**2).sum()
