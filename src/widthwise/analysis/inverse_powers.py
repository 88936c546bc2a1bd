"""A number against the width, in powers of 1/N: its limit, its terms, and how many of them the data show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from widthwise.analysis.estimate import Estimate
from widthwise.analysis.fits import combine


@dataclass(frozen=True)
class InversePowers:
    r"""$r_N = r_\infty + c_1 / N + c_2 / N^2$; `second` is None where the first term is enough.

    **Fields:** `limit`, `first`, `second`, with their errors over seeds; `preferred`, by how much Akaike's
    criterion prefers this number of terms to the other, None where only one could be fitted.
    """

    limit: Estimate
    first: Estimate
    second: Estimate | None
    preferred: float | None


def fit_inverse_powers(
    widths: Sequence[int], values: Sequence[Float[np.ndarray, " _"]]
) -> InversePowers | None:
    r"""Least squares with one term or two, whichever Akaike's criterion $\chi^2 + 2k$ prefers; None with
    fewer than three widths or two seeds, one term with fewer than four widths.

    Weights are N, as variances over seeds fall as 1/N: coefficients do not depend on what was measured, and
    Student's t holds with Welch's degrees of freedom. chi^2 takes the variance of all widths together.

    **Arguments:** `values` of each seed at each width.
    """
    if len(widths) < 3 or min(len(v) for v in values) < 2:
        return None
    n = np.array(widths, dtype=float)
    means = np.array([v.mean() for v in values])
    dofs = np.array([len(v) - 1.0 for v in values])
    variances = np.array([v.var(ddof=1) for v in values])
    scale = float(dofs @ (n * variances) / dofs.sum()) + 1e-24 * float(np.abs(means).max()) ** 2 + 1e-300
    measured = [
        Estimate(value=float(m), error=float((v / len(x)) ** 0.5), dof=float(len(x) - 1))
        for m, v, x in zip(means, variances, values, strict=True)
    ]
    precision = n * (dofs + 1) / scale
    criteria, fits = {}, {}
    for terms in (1, 2) if len(widths) > 3 else (1,):
        fits[terms] = _coefficients(n, terms)
        left = means - _design(n, terms) @ (fits[terms] @ means)
        criteria[terms] = float(precision @ left**2) + 2 * (terms + 1)
    best = min(criteria, key=criteria.__getitem__)
    found = [combine(row, measured) for row in fits[best]]
    gap = max(criteria.values()) - min(criteria.values()) if len(criteria) > 1 else None
    return InversePowers(found[0], found[1], found[2] if best == 2 else None, gap)


def _design(n: Float[np.ndarray, " width"], terms: int) -> Float[np.ndarray, "width term"]:
    return np.stack([n**-power for power in range(terms + 1)], axis=1)


def _coefficients(n: Float[np.ndarray, " width"], terms: int) -> Float[np.ndarray, "term width"]:
    """Rows b such that b.r are coefficients in powers of 1/N, the limit first, of the fit with weights N."""
    scale, root = n[0] ** np.arange(terms + 1), np.sqrt(n / n[0])
    design = _design(n, terms) * scale * root[:, None]
    return scale[:, None] * np.linalg.pinv(design) * root
