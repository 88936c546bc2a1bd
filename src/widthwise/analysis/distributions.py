"""Distributions known by their quantiles: distances between them, and their moments."""

import numpy as np
from jaxtyping import Float
from scipy import special

GRID = np.linspace(-8.0, 8.0, 641)  # of normal scores
ROUNDING = 1e-12  # of the mean square: a variance below it is none
WEIGHTS = np.exp(-(GRID**2) / 2) / np.exp(-(GRID**2) / 2).sum()


def pooled_quantiles(
    levels: Float[np.ndarray, " level"],
    quantiles: Float[np.ndarray, "seed level"],
    at: Float[np.ndarray, " x"],
) -> Float[np.ndarray, " x"]:
    """The fraction of all seeds' values that lies below each x: mean of the distribution functions, straight
    between the recorded levels."""
    return np.mean([np.interp(at, curve, levels, left=0.0, right=1.0) for curve in quantiles], axis=0)


def wasserstein(
    levels: Float[np.ndarray, " level"],
    first: Float[np.ndarray, "seed level"],
    second: Float[np.ndarray, "other level"],
) -> float:
    r"""$W_1 = \int |F(x) - G(x)| dx$ between the distributions that two groups of networks make together.

    Beyond the outermost levels nothing is known; what lies there counts as lying on them.
    """
    at = np.unique(np.concatenate([first.ravel(), second.ravel()]))
    apart = np.abs(pooled_quantiles(levels, first, at) - pooled_quantiles(levels, second, at))
    return float((apart[1:] + apart[:-1]) / 2 @ np.diff(at)) if len(at) > 1 else 0.0


def raw_moments(
    levels: Float[np.ndarray, " level"], quantiles: Float[np.ndarray, "*group level"]
) -> Float[np.ndarray, "4 *group"]:
    r"""$\langle x^k \rangle$, k = 1 .. 4, of each distribution.

    The quantile function is straight in the normal score $z = \Phi^{-1}(q)$ between recorded levels and
    beyond them, so that the moments of a Gaussian are exact and tails that were not recorded are a
    Gaussian's.
    """
    scores = special.ndtri(levels)
    left = np.clip(np.searchsorted(scores, GRID) - 1, 0, len(scores) - 2)
    share = (GRID - scores[left]) / (scores[left + 1] - scores[left])
    values = quantiles[..., left] * (1 - share) + quantiles[..., left + 1] * share
    return np.stack([values**power @ WEIGHTS for power in range(1, 5)])


def shape_of(moments: Float[np.ndarray, "4 *group"]) -> Float[np.ndarray, "3 *group"]:
    """Standard deviation, skewness and excess kurtosis from raw moments; NaN where there is no spread.

    >>> shape_of(np.array([1.0, 2.0, 4.0, 10.0])).round(6).tolist()    # of 1 + a standard Gaussian
    [1.0, 0.0, 0.0]
    """
    mean, second, third, fourth = moments
    variance = second - mean**2
    with np.errstate(all="ignore"):
        deviation = np.sqrt(np.where(variance > ROUNDING * second, variance, np.nan))
        skewness = (third - 3 * mean * second + 2 * mean**3) / deviation**3
        fourth_central = fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4
        return np.stack([deviation, skewness, fourth_central / deviation**4 - 3])
