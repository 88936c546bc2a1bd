"""Frozen Gaussians of the sites: where the single-site averages are evaluated, and with which weights.

Scrambled Sobol points: replicates with other seeds are independent, and their scatter shows the error.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri
from scipy.stats import qmc

RANK_TOLERANCE = 1e-12  # eigenvalues of K^x below this fraction of the largest carry no direction
WIDENED_DIRECTIONS = 6  # problems of at most so many Gaussians a site sample their tails more densely
WIDENING = 1.3


def gaussian_sites(
    input_kernel: Float[np.ndarray, "point point"],
    outputs: int,
    sites: int,
    seed: tuple[int, ...],
    *,
    equal_weights: bool = False,
) -> tuple[Float[np.ndarray, "site point"], Float[np.ndarray, "site output"], Float[np.ndarray, " site"]]:
    """Initial fields of neurons: h ~ N(0, K^x) over points, w ~ N(0, 1) for each output; and weights.

    Sites come in pairs (h, w), (h, -w), so that the mean output at initialization vanishes exactly. Read-outs
    and then the leading eigendirections of `input_kernel` take the first, most even coordinates.
    **Arguments:** `sites`, a power of two; `seed` fixes the scrambling; `equal_weights` asks for them.
    **Returns:** h, w, and weights that add up to 1.
    """
    eigenvalues, eigenvectors = np.linalg.eigh(input_kernel)
    kept = np.flatnonzero(eigenvalues > RANK_TOLERANCE * max(eigenvalues[-1], 1e-300))[::-1]
    directions = outputs + len(kept)
    sobol = qmc.Sobol(directions, scramble=True, rng=np.random.default_rng(seed))
    uniform = sobol.random_base2((sites // 2 - 1).bit_length())
    normal = ndtri(np.clip(uniform, 1e-12, 1 - 1e-12))
    if directions <= WIDENED_DIRECTIONS and not equal_weights:
        # Rare sites far out carry much of the fluctuations: draw them more often, with less weight.
        normal *= WIDENING
        weights = np.exp(-0.5 * (1 - WIDENING**-2) * np.sum(normal**2, axis=1))
    else:
        normal = np.stack([_with_gaussian_kurtosis(column) for column in normal.T], axis=1)
        weights = np.ones(len(normal))
    weights /= weights.sum()
    readouts = _whitened(normal[:, :outputs], weights)
    fields = _whitened(normal[:, outputs:], weights) @ (eigenvectors[:, kept] * np.sqrt(eigenvalues[kept])).T
    return (
        np.concatenate([fields, fields]),
        np.concatenate([readouts, -readouts]),
        np.concatenate([weights, weights]) / 2,
    )


def _whitened(
    normal: Float[np.ndarray, "site direction"], weights: Float[np.ndarray, " site"]
) -> Float[np.ndarray, "site direction"]:
    """The sample moved linearly to mean zero and unit covariance, whose errors would else dominate.

    Higher moments are biased by at most about 2 / sites, relative (rows of a random orthogonal frame). Left
    as it is where the sample is too small to have a covariance.
    """
    sites, directions = normal.shape
    if sites < 4 * directions:
        return normal
    centered = normal - weights @ normal
    factor = np.linalg.cholesky((weights * centered.T) @ centered)
    return np.linalg.solve(factor, centered.T).T


def _with_gaussian_kurtosis(column: Float[np.ndarray, " site"]) -> Float[np.ndarray, " site"]:
    """a z + b z^3 with second moment 1 and fourth moment 3, (a, b) close to (1, 0), by Newton's method."""
    z = column - column.mean()
    a, b = 1.0, 0.0
    for _ in range(8):
        y = a * z + b * z**3
        excess = np.array([np.mean(y**2) - 1, np.mean(y**4) - 3])
        slopes = np.array(
            [
                [2 * np.mean(y * z), 2 * np.mean(y * z**3)],
                [4 * np.mean(y**3 * z), 4 * np.mean(y**3 * z**3)],
            ]
        )
        a, b = (a, b) - np.linalg.solve(slopes, excess)
    return a * z + b * z**3
