"""Principal modes of what drives the fluctuations: the scatter of the sites' outputs over training.

Trajectories are smooth, so the scatter of S sites over P T outputs has few independent directions. A
response is computed once a mode, never once a site or once an output and time.
"""

import numpy as np
from jaxtyping import Float

UNEXPLAINED = 1e-6  # fraction of the (normalized) scatter that may be left out


def principal_scores(
    contributions: Float[np.ndarray, "site column"], weights: Float[np.ndarray, " site"]
) -> tuple[Float[np.ndarray, "site mode"], Float[np.ndarray, " mode"]]:
    """Uncorrelated scores c of the sites, mean 0 and mean square 1, leading modes first.

    Columns (an output on a training point at a step) are normalized to unit variance first, so that early
    and late steps count alike. Column j of site i is then sum_k c_ik <c_k column_j> for all modes together.
    **Returns:** scores, and the fraction of the normalized scatter left out after 1, 2, ... modes.
    """
    root = np.sqrt(weights)[:, None]
    centered = contributions - weights @ contributions
    scale = np.sqrt(weights @ centered**2)
    varies = scale > 1e-13 * max(scale.max(), 1e-300)
    if not varies.any():
        return np.zeros((len(centered), 0)), np.zeros(0)
    normalized = root * centered[:, varies] / scale[varies]
    if normalized.shape[1] < len(normalized):
        eigenvalues, directions = np.linalg.eigh(normalized.T @ normalized)
        kept = eigenvalues > 1e-13 * eigenvalues[-1]
        scores = normalized @ directions[:, kept] / np.sqrt(eigenvalues[kept])
    else:
        eigenvalues, directions = np.linalg.eigh(normalized @ normalized.T)
        kept = eigenvalues > 1e-13 * eigenvalues[-1]
        scores = directions[:, kept]
    power = eigenvalues[kept][::-1]
    tail = np.maximum(1.0 - np.cumsum(power) / power.sum(), 0.0)
    return scores[:, ::-1] / root, tail


def modes_needed(tail: Float[np.ndarray, " mode"]) -> int:
    """How many leading modes leave out less than `UNEXPLAINED`."""
    return min(int(np.sum(tail > UNEXPLAINED)) + 1, len(tail))


def pad_modes(scores: Float[np.ndarray, "site mode"], modes: int) -> Float[np.ndarray, "site modes"]:
    """Exactly `modes` columns: leading ones kept, missing ones zero (a zero score drives nothing)."""
    kept = scores[:, :modes]
    return np.pad(kept, [(0, 0), (0, modes - kept.shape[1])])
