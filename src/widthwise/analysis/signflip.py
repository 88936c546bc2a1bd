r"""The largest of many t statistics, judged by random signs of the seeds.

If seed i's deviation from theory has mean zero and is as likely as its negative, then multiplying each
seed's whole deviation (all steps, points, ...) by a random sign changes nothing in distribution. The
largest |t| over all elements is compared with its values under such signs: exact at any number of seeds and
any correlation between elements, without a Gaussian anywhere.

**Source:** Winkler et al. (2014), Permutation inference for the general linear model.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

# Theory's own standard errors are forgiven this many times over at every element.
FORGIVEN_STANDARD_ERRORS = 3.0
COLUMNS_A_BLOCK = 8192


@dataclass(frozen=True)
class LargestT:
    """Observed largest |sum of unit residuals|, and the same under each choice of signs."""

    observed: float
    flipped: Float[np.ndarray, "flip"]

    def merged(self, other: "LargestT") -> "LargestT":
        """Of two blocks of elements, under the same signs."""
        return LargestT(max(self.observed, other.observed), np.maximum(self.flipped, other.flipped))

    def p_value(self) -> float:
        """Share of sign choices, the observed one included, that reach the observed value."""
        reached = int((self.flipped >= self.observed * (1.0 - 1e-6)).sum())
        return (1.0 + reached) / (1.0 + len(self.flipped))


def sign_choices(seeds: int, flips: int, rng: np.random.Generator) -> Float[np.ndarray, "flip seed"]:
    """`flips` rows of random signs; with few seeds instead every different row but the observed one, once.

    A row and its negative give the same |t|, so E seeds have 2^(E-1) different rows.
    """
    if seeds <= 1:
        return np.ones((0, seeds), np.float32)
    if seeds <= 30 and 2 ** (seeds - 1) - 1 <= flips:
        codes = np.arange(1, 2 ** (seeds - 1))
        bits = (codes[:, None] >> np.arange(seeds)) & 1
        return (1.0 - 2.0 * bits).astype(np.float32)
    return (1.0 - 2.0 * rng.integers(0, 2, size=(flips, seeds))).astype(np.float32)


def largest_t(
    residuals: Float[np.ndarray, "seed element"],
    signs: Float[np.ndarray, "flip seed"],
    forgiven: Float[np.ndarray, "element"],
) -> LargestT:
    """Largest |T| over elements, T = sum_i r_i / sqrt(sum_i r_i^2), observed and under `signs`.

    T grows with Student's t (see `student_t`) but its denominator does not change with signs.

    **Arguments:** `residuals` from theory; `forgiven`, the error of theory by which |mean residual| is
    shortened before it counts. Elements whose residuals all vanish count as 0.
    """
    seeds, elements = residuals.shape
    observed, flipped = 0.0, np.zeros(len(signs), np.float32)
    for start in range(0, elements, COLUMNS_A_BLOCK):
        block = residuals[:, start : start + COLUMNS_A_BLOCK]
        norm = np.sqrt((block**2).sum(axis=0))
        scale = np.where(norm > 0, 1.0 / np.where(norm > 0, norm, 1.0), 0.0)
        short = np.abs(block.sum(axis=0)) - seeds * forgiven[start : start + COLUMNS_A_BLOCK]
        observed = max(observed, float((np.maximum(short, 0.0) * scale).max(initial=0.0)))
        sums = signs @ (block * scale).astype(np.float32)
        if sums.size:
            flipped = np.maximum(flipped, np.maximum(sums.max(axis=1), -sums.min(axis=1)))
    return LargestT(observed=observed, flipped=flipped)


def student_t(largest: float, seeds: int) -> float:
    """Student's t of a mean over seeds, t = T sqrt((E - 1) / (E - T^2)); T at its bound sqrt(E) is capped."""
    if seeds < 2:
        return 0.0
    room = max(seeds - largest**2, 1e-9 * seeds)
    return float(largest * np.sqrt((seeds - 1) / room))


def holm(p_values: list[float]) -> list[float]:
    """Holm's adjusted p-values: rejecting those below alpha errs anywhere with probability at most alpha.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, running = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = running
    return adjusted
