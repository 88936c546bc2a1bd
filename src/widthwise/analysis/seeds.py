r"""Statistics over seeds that need only the seeds' products: small however many elements there are.

Let $d_{ie}$ be seed i's deviation from theory at element e (a step, a point, ...). Pooled variances,
distances, their jackknives and bootstraps are functions of the matrix $G_{ij} = \sum_e d_{ie} d_{je}$
alone, so elements are read once, in blocks, and may be as correlated as they like: only seeds are treated
as independent.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

FEWEST_SEEDS_FOR_A_VARIANCE_ERROR = 4


@dataclass(frozen=True)
class MeanDistance:
    """Squared distance of the ensemble mean, freed of its own noise; `z` says whether it is resolved."""

    squared: float
    z: float


def centered_products(products: Float[np.ndarray, "*b seed seed"]) -> Float[np.ndarray, "*b seed seed"]:
    """The same for deviations from the ensemble mean instead of from theory."""
    rows = products - products.mean(axis=-1, keepdims=True)
    return rows - rows.mean(axis=-2, keepdims=True)


def pooled_variance(products: Float[np.ndarray, "*b seed seed"]) -> Float[np.ndarray, "*b"]:
    """Sum over elements of the unbiased variance over seeds; 0 where rounding leaves less than nothing."""
    centered = centered_products(products)
    total = np.trace(centered, axis1=-2, axis2=-1)
    return np.asarray(np.maximum(total / (products.shape[-1] - 1), 0.0))


def pooled_variance_relative_error(
    products: Float[np.ndarray, "*b seed seed"],
) -> Float[np.ndarray, "*b"]:
    r"""Relative standard error of the pooled variance, for any correlation between elements.

    The larger of two: the jackknife over seeds, right for any distribution but itself noisy with few seeds;
    and the value for Gaussian elements, $2 \mathrm{tr} S^2 / ((E - 1) (\mathrm{tr} S)^2)$ squared, from the
    products of different seeds. Infinite with fewer than four seeds, 0 where nothing varies.
    """
    centered = centered_products(products)
    squares = np.asarray((centered**2).sum(axis=(-2, -1)))
    return _relative_error(np.diagonal(centered, axis1=-2, axis2=-1), squares)


def variance_by_step(
    values: Float[np.ndarray, "step seed element"],
) -> tuple[Float[np.ndarray, "step"], Float[np.ndarray, "step"]]:
    """The pooled variance at each step, and its relative standard error, without products of many seeds."""
    centered = values - values.mean(axis=1, keepdims=True)
    own = np.einsum("tse,tse->ts", centered, centered)
    small = centered if centered.shape[1] <= centered.shape[2] else centered.transpose(0, 2, 1)
    squares = ((small @ small.transpose(0, 2, 1)) ** 2).sum(axis=(1, 2))
    return own.sum(axis=1) / max(1, values.shape[1] - 1), _relative_error(own, squares)


def _relative_error(
    own: Float[np.ndarray, "*b seed"], squares: Float[np.ndarray, "*b"]
) -> Float[np.ndarray, "*b"]:
    """From the diagonal of centered products, and the sum of their squares."""
    seeds, total = own.shape[-1], np.asarray(own.sum(axis=-1))
    if seeds < FEWEST_SEEDS_FOR_A_VARIANCE_ERROR:
        return np.full(total.shape, math.inf)
    safe = np.where(total > 0, total, 1.0)
    # Leaving seed i out lowers the sum of squares by own_i E / (E - 1).
    jackknife = np.sqrt((seeds - 1) / seeds * ((own - own.mean(-1, keepdims=True)) ** 2).sum(-1))
    jackknife *= seeds * (seeds - 1) / ((seeds - 1) * (seeds - 2)) / safe
    others = squares - (own**2).sum(axis=-1)
    gaussian = (
        np.sqrt(2.0 * np.maximum(others, 0.0) / (seeds * (seeds - 1)) / (seeds - 1)) * (seeds - 1) / safe
    )
    return np.where(total > 0, np.maximum(jackknife, gaussian), 0.0)


def single_squared_distance(products: Float[np.ndarray, "*b seed seed"]) -> Float[np.ndarray, "*b"]:
    """Sum over elements of |v_e - v_inf|^2, mean over seeds."""
    return np.asarray(np.diagonal(products, axis1=-2, axis2=-1).mean(axis=-1))


def mean_squared_distance(products: Float[np.ndarray, "seed seed"]) -> MeanDistance:
    r"""Sum over elements of $|\bar v - v_\infty|^2$ without the noise of the mean: $\sum_{i \ne j} G_{ij} /
    (E (E-1))$.

    `z` is in units of its scatter under random signs of the seeds, $\sqrt{2 \sum_{i \ne j} G_{ij}^2} / (E
    (E-1))$: what networks whose mean is theory would show. 0 with one seed.
    """
    seeds = len(products)
    if seeds < 2:
        return MeanDistance(squared=0.0, z=0.0)
    pairs = seeds * (seeds - 1)
    squared = float(products.sum() - np.trace(products)) / pairs
    scatter = math.sqrt(2.0 * float((products**2).sum() - (np.diagonal(products) ** 2).sum())) / pairs
    return MeanDistance(squared=squared, z=squared / scatter if scatter > 0 else 0.0)


def bootstrap_counts(seeds: int, draws: int, rng: np.random.Generator) -> Float[np.ndarray, "draw seed"]:
    """How often each seed is drawn in each of `draws` resamples of all seeds."""
    return rng.multinomial(seeds, np.full(seeds, 1.0 / seeds), size=draws).astype(np.float64)


def bootstrap_squared_distances(
    products: Float[np.ndarray, "seed seed"], counts: Float[np.ndarray, "draw seed"]
) -> tuple[Float[np.ndarray, "draw"], Float[np.ndarray, "draw"]]:
    """Resamples of the single networks' and of the noise-free mean's squared distance.

    Pairs of copies of one seed are left out of the second, which keeps it free of bias.
    """
    seeds = len(products)
    own = np.diagonal(products)
    single = counts @ own / seeds
    if seeds < 2:
        return single, np.zeros(len(counts))
    pairs = ((counts @ products) * counts).sum(axis=1) - counts**2 @ own
    return single, pairs / (seeds - 1) ** 2


def recentered_interval(draws: Float[np.ndarray, " draw"], value: float, alpha: float) -> tuple[float, float]:
    """Percentile interval at 1 - `alpha` of resamples, moved so that their mean is the estimate: their own
    bias must not count twice. The estimate alone without resamples.

    >>> recentered_interval(np.linspace(0.0, 1.0, 101), 2.0, 0.1)
    (1.55, 2.45)
    """
    if not len(draws):
        return value, value
    low, high = np.quantile(draws - draws.mean() + value, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)
