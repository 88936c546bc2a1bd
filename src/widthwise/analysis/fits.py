"""Fits over widths: the limit of infinite width of a measured number, and power laws of a distance."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from widthwise.analysis.estimate import Estimate
from widthwise.analysis.seeds import recentered_interval


@dataclass(frozen=True)
class PowerLaw:
    """distance = amplitude N^exponent, with the exponent's error and interval, from `widths` only."""

    exponent: float
    error: float
    low: float
    high: float
    amplitude: float
    widths: tuple[int, ...]


def limit_coefficients(
    widths: Float[np.ndarray, "width"], weights: Float[np.ndarray, "width"]
) -> Float[np.ndarray, "width"]:
    """b such that sum_N b_N r_N is the intercept a of the weighted fit r_N = a + c / N.

    With one width there is no c: b = [1].
    """
    if len(widths) == 1:
        return np.ones(1)
    design = np.stack([np.ones(len(widths)), widths.min() / widths], axis=1)
    weighted = design * weights[:, None]
    return np.linalg.solve(weighted.T @ design, weighted.T)[0]


def combine(coefficients: Float[np.ndarray, "width"], measured: list[Estimate]) -> Estimate:
    """sum_N b_N r_N of independent r_N, whose numerical errors are theory's and so fully correlated; degrees
    of freedom by Welch and Satterthwaite."""
    value = float(sum(b * m.value for b, m in zip(coefficients, measured, strict=True)))
    if any(math.isinf(m.error) for m in measured):
        return Estimate(value=value, error=math.inf, dof=1.0)
    noise = [m.error**2 - m.numerical**2 for m in measured]
    parts = [float(b**2 * max(n, 0.0)) for b, n in zip(coefficients, noise, strict=True)]
    numerical = float(sum(abs(b) * m.numerical for b, m in zip(coefficients, measured, strict=True)))
    error = math.hypot(math.sqrt(sum(parts)), numerical)
    if not math.isfinite(error):
        return Estimate(value=value, error=math.inf, dof=1.0)
    curvature = sum(p**2 / m.dof for p, m in zip(parts, measured, strict=True))
    dof = max(1.0, sum(parts) ** 2 / curvature) if curvature > 0 else math.inf
    return Estimate(value, error, dof, numerical)


def fit_power_law(
    widths: Float[np.ndarray, "width"],
    squared: Float[np.ndarray, "width"],
    draws: Float[np.ndarray, "draw width"],
    alpha: float,
) -> PowerLaw | None:
    """Straight line through log distance against log N; None with fewer than two widths.

    **Arguments:** `squared` distances, all positive; `draws`, their bootstrap resamples over seeds, from
    which come the weights (one over the variance of the logarithm) and the exponent's percentile interval
    at 1 - `alpha`. A draw that is not positive counts as a hundredth of the measured value.
    """
    if len(widths) < 2:
        return None
    logs = 0.5 * np.log(squared)
    log_draws = 0.5 * np.log(np.maximum(draws, 0.01 * squared))
    weights = 1.0 / (log_draws.var(axis=0) + 1e-12)
    x = np.log(widths)
    shift = x - (weights * x).sum() / weights.sum()
    slope_of = weights * shift / (weights * shift**2).sum()
    exponent = float(slope_of @ logs)
    slopes = log_draws @ slope_of
    low, high = recentered_interval(slopes, exponent, alpha)
    level = (weights * logs).sum() / weights.sum() - exponent * (weights * x).sum() / weights.sum()
    used = tuple(int(w) for w in widths)
    error = float(slopes.std(ddof=1))
    return PowerLaw(exponent, error, low, high, math.exp(level), used)
