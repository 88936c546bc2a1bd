"""Frozen Gaussians of the sites: scrambled Sobol points, one independent scrambling a replicate."""

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri
from scipy.stats import qmc

RANK_TOLERANCE = 1e-12  # eigenvalues of K^x below this fraction of the largest carry no direction


def gaussian_sites(
    input_kernel: Float[np.ndarray, "point point"], outputs: int, sites: int, seed: tuple[int, ...]
) -> tuple[Float[np.ndarray, "site point"], Float[np.ndarray, "site output"]]:
    """Initial fields of `sites` neurons: h ~ N(0, K^x) over points, w ~ N(0, 1) for each output.

    The read-outs and then the leading eigendirections of `input_kernel` take the first, most even
    coordinates of the sequence. Sites come in pairs (h, w), (h, -w), so that the mean output at
    initialization vanishes exactly; low moments are matched exactly too (see `_matched`).
    `sites` is a power of two; `seed` fixes the scrambling.
    """
    eigenvalues, eigenvectors = np.linalg.eigh(input_kernel)
    kept = np.flatnonzero(eigenvalues > RANK_TOLERANCE * max(eigenvalues[-1], 1e-300))[::-1]
    sobol = qmc.Sobol(outputs + len(kept), scramble=True, rng=np.random.default_rng(seed))
    uniform = sobol.random_base2((sites // 2 - 1).bit_length())
    normal = ndtri(np.clip(uniform, 1e-12, 1 - 1e-12))
    readouts, directions = _matched(normal[:, :outputs]), _matched(normal[:, outputs:])
    fields = directions @ (eigenvectors[:, kept] * np.sqrt(eigenvalues[kept])).T
    return np.concatenate([fields, fields]), np.concatenate([readouts, -readouts])


def _matched(normal: Float[np.ndarray, "site direction"]) -> Float[np.ndarray, "site direction"]:
    """The same sample with fourth moments 3, then moved linearly to mean zero and unit covariance.

    The few sites in the tails carry most of the error of second and fourth moments; this removes it. Higher
    moments are biased by at most about 2 / sites, relative (the whitened sample is a random orthogonal
    frame). Left as it is where the sample is too small to have a covariance.
    """
    sites, directions = normal.shape
    if sites < 4 * directions:
        return normal
    shaped = np.stack([_with_gaussian_kurtosis(column) for column in normal.T], axis=1)
    centered = shaped - shaped.mean(axis=0)
    factor = np.linalg.cholesky(centered.T @ centered / sites)
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
