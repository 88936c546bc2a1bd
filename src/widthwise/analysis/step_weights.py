"""Which steps tell a mean shift: their weights, from the scatter over families."""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import nnls

FEWEST_FAMILIES = 16  # below, their scatter says too little of how steps are correlated
SPANS = 2  # of steps, for each factor of two in time: within one they are alike
SHRUNK = 0.2  # share by which measured correlations are taken towards none


def step_weights(
    steps: Int[np.ndarray, " step"],
    measured: Float[np.ndarray, "family step"],
    expected: Float[np.ndarray, " step"],
    numerical: Float[np.ndarray, " step"],
) -> tuple[Float[np.ndarray, " step"], int]:
    r"""Weights $a_t \ge 0$ of steps, sum_t a_t expected_t = 1, with the least error of sum_t a_t measured_t.

    What differs between the widths of a family has another noise than single networks have, small at early
    steps and much the same over later ones. So it is measured: the covariance over families of what spans
    of half an octave show, with correlations shrunk, and theory's numerical error besides, as if one for
    all steps. No weight is negative: spans are averaged, none is played against another. All are equal where
    there are fewer than `FEWEST_FAMILIES` families.

    **Arguments:** `measured` of each family, `expected` of theory with sum 1, `numerical`, its error.
    **Returns:** the weights, and how many spans have one.
    """
    found, span = np.unique(np.floor(SPANS * np.log2(steps + 1.0)), return_inverse=True)
    sums = np.eye(len(found))[span]
    rows, signal, error = measured @ sums, expected @ sums, numerical @ sums
    scatter = rows.std(axis=0, ddof=1) if len(rows) > 1 else np.zeros(len(found))
    able = (signal > 0) & (scatter > 0)
    if len(rows) < FEWEST_FAMILIES or not able.any():
        return np.ones(len(steps)), 1
    deviations = (rows - rows.mean(axis=0))[:, able] / scatter[able]
    correlation = deviations.T @ deviations / (len(rows) - 1)
    correlation = (1 - SHRUNK) * correlation + SHRUNK * np.eye(able.sum())
    forgiven = error[able] / scatter[able] * np.sqrt(len(rows))
    factor = np.linalg.cholesky(correlation + np.outer(forgiven, forgiven))
    best = nnls(factor.T, np.linalg.solve(factor, signal[able] / scatter[able]))[0]
    weights = np.zeros(len(found))
    weights[able] = best / scatter[able]
    return (weights / (weights @ signal))[span], int((best > 0).sum())
