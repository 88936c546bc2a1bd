"""From several widths to infinite width: losses by a power law, functions by Richardson's method."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from widthwise.analysis.families import Labels, family_counts
from widthwise.analysis.fits import limit_coefficients
from widthwise.analysis.seeds import bootstrap_counts

FEWEST = 4  # widths from which a limit is extrapolated
EXPONENTS = np.linspace(0.25, 2.0, 36)
RESAMPLES = 300
SMALLEST = 1e-100  # of means whose squares can be weighed


@dataclass(frozen=True)
class Extrapolation:
    r"""A fit $L(N) = L_\infty + c N^{-a}$ with intervals from a bootstrap over seeds.

    **Fields:** `limit`, `exponent`, `amplitude`; `limit_interval`, `exponent_interval`; `predicted`, the
    widest width's value from a fit to all others, to be compared with `measured`.
    """

    limit: float
    exponent: float
    amplitude: float
    limit_interval: tuple[float, float]
    exponent_interval: tuple[float, float]
    predicted: float
    measured: float


def extrapolate(
    widths: Sequence[int],
    values: Sequence[Float[np.ndarray, " _"]],
    alpha: float,
    rng: np.random.Generator,
    families: Sequence[Labels] | None = None,
) -> Extrapolation | None:
    """Weighted least squares over a grid of exponents from 1/4 to 2; None with fewer than four widths, or
    where all means are zero or as good as infinite.

    **Arguments:** `values` of each seed at each ascending width, two or more; weights are one over the
    variance of their mean. The prediction of the widest keeps the exponent of all where three widths remain.
    Of `families` these are resampled, all widths of one together.
    """
    if len(widths) < FEWEST:
        return None
    n = np.array(widths, dtype=float)
    means = np.array([v.mean() for v in values])
    if not SMALLEST < np.abs(means).max() < 1 / SMALLEST:
        return None
    errors = np.array([v.var(ddof=1) / len(v) for v in values])
    weights = 1 / (errors + 1e-12 * (np.abs(means).max() ** 2 + 1e-300))
    limit, amplitude, exponent = _fit(n, means, weights)
    counts = [bootstrap_counts(len(v), RESAMPLES, rng) for v in values]
    if families is not None:
        counts = family_counts(families, RESAMPLES, rng)
    sums = [(c @ v, np.maximum(c.sum(axis=1), 1.0)) for c, v in zip(counts, values, strict=True)]
    resampled = np.stack([total / number for total, number in sums], axis=1)
    draws = np.array([_fit(n, each, weights) for each in resampled])
    low, high = np.quantile(draws, [alpha / 2, 1 - alpha / 2], axis=0)
    x = n[:-1] ** -exponent
    slope = np.polynomial.polynomial.polyfit(x, means[:-1], 1, w=np.sqrt(weights[:-1]))
    return Extrapolation(
        limit=limit,
        exponent=exponent,
        amplitude=amplitude,
        limit_interval=(float(low[0]), float(high[0])),
        exponent_interval=(float(low[2]), float(high[2])),
        predicted=float(slope[0] + slope[1] * n[-1] ** -exponent),
        measured=float(means[-1]),
    )


def _fit(
    n: Float[np.ndarray, " width"], means: Float[np.ndarray, " width"], weights: Float[np.ndarray, " width"]
) -> tuple[float, float, float]:
    """(limit, amplitude, exponent) with the least weighted sum of squares; all exponents at once."""
    x = (n[None, :] / n[0]) ** -EXPONENTS[:, None]
    total = weights.sum()
    center, level = (x @ weights) / total, (means @ weights) / total
    shifted, residual = x - center[:, None], means - level
    slope = (shifted * weights * residual).sum(axis=1) / (shifted**2 * weights).sum(axis=1)
    left = ((residual - slope[:, None] * shifted) ** 2 * weights).sum(axis=1)
    best = int(np.argmin(left))
    exponent = float(EXPONENTS[best])
    return float(level - slope[best] * center[best]), float(slope[best] * n[0] ** exponent), exponent


def richardson(
    narrow: int | float, wide: int | float, *, at: int | float = math.inf, exponent: float = 1.0
) -> tuple[float, float]:
    r"""Coefficients of the mean functions at two widths that give the function at a third, by Richardson.

    If the distance from the limit is $c N^{-a}$, then with ratio r of the widths

    $$f_\infty = \frac{r^a \bar f_{rN} - \bar f_N}{r^a - 1}$$

    and other widths lie on the straight line through both in $N^{-a}$.

    >>> richardson(64, 128), richardson(64, 128, at=256)
    ((-1.0, 2.0), (-0.5, 1.5))
    """
    near, far, there = (float(n) ** -exponent for n in (narrow, wide, at))
    return (there - far) / (near - far), (near - there) / (near - far)


def limits(
    widths: Float[np.ndarray, " width"],
    means: Float[np.ndarray, "width step"],
    squared_errors: Float[np.ndarray, "width step"],
) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, "width step"]]:
    """Intercepts in 1/N at every step, and the standard error of each width's distance from them."""
    coefficients = limit_coefficients(widths, widths)
    differences = np.eye(len(widths)) - coefficients
    return coefficients @ means, np.sqrt(differences**2 @ squared_errors)


def reference(
    widths: Float[np.ndarray, " width"],
    means: Float[np.ndarray, "width step"],
    squared_errors: Float[np.ndarray, "width step"],
) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, "width step"], bool]:
    """What ascending widths are held against: `limits` with four or more of them, else the widest; the
    standard error of each width's distance from it; and whether it is the limit."""
    if len(widths) < FEWEST:
        return means[-1], np.sqrt(squared_errors + squared_errors[-1]), False
    return *limits(widths, means, squared_errors), True
