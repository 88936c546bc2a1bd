"""Families of networks across widths: only families are independent, so that errors come from them.

Records say by `family` (width, seed) which networks share initial weights across widths; those of one width
are independent of each other in any case. Without `family`, or where none spans two widths, every network is
by itself.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from widthwise.analysis.estimate import Estimate
from widthwise.errors import InputError

Labels = Int[np.ndarray, " _"]  # of each network; they differ in number from width to width


def family_labels(records: xr.Dataset) -> Int[np.ndarray, "width seed"] | None:
    """The family of every network, negative where there is none; None where no two widths share one.

    **Errors:** `InputError` if `family` is there and no whole number for each network.
    """
    if "family" not in records:
        return None
    array = records["family"]
    if set(map(str, array.dims)) != {"width", "seed"} or array.dtype.kind not in "iuf":
        raise InputError(
            f"records: `family` has dimensions {array.dims} and type {array.dtype}: give whole numbers "
            "(width, seed), the same for networks that share initial weights"
        )
    values = array.transpose("width", "seed").to_numpy()
    found = np.where(np.isfinite(values), values, -1).astype(np.int64)
    each = [set(row[row >= 0].tolist()) for row in found]
    shared = sum(map(len, each)) > len(set().union(*each))
    return found if shared else None


def family_means(
    values: Float[np.ndarray, "network *rest"], labels: Labels
) -> tuple[Float[np.ndarray, "family *rest"], Labels]:
    """The mean over the networks of each family, and the families' labels, ascending.

    >>> family_means(np.array([1.0, 3.0, 5.0]), np.array([7, 7, 8]))
    (array([2., 5.]), array([7, 8]))
    """
    found, at = np.unique(labels, return_inverse=True)
    weights = np.zeros((len(found), len(labels)))
    weights[at, np.arange(len(labels))] = 1.0
    weights /= weights.sum(axis=1, keepdims=True)
    return np.tensordot(weights, values, 1), found


def complete(labels: Sequence[Labels]) -> Labels:
    """Families that have a network at every width, ascending."""
    found = np.unique(labels[0])
    for each in labels[1:]:
        found = np.intersect1d(found, each)
    return found


def family_counts(
    labels: Sequence[Labels], draws: int, rng: np.random.Generator
) -> list[Float[np.ndarray, "draw _"]]:
    """How often each network of each width is drawn in `draws` resamples of all families, the same at every
    width."""
    every = np.unique(np.concatenate(labels))
    counts = rng.multinomial(len(every), np.full(len(every), 1.0 / len(every)), size=draws).astype(float)
    return [counts[:, np.searchsorted(every, each)] for each in labels]


def sum_error(parts: Sequence[Float[np.ndarray, " _"]], labels: Sequence[Labels]) -> tuple[float, int]:
    """Standard error of the sum of all `parts`, from the scatter over families, and how many there are.

    **Arguments:** `parts`, at each width the shares of its networks in a number that is about their sum.
    """
    every, at = np.unique(np.concatenate(labels), return_inverse=True)
    shares = np.bincount(at, np.concatenate(parts), len(every))
    count = len(every)
    if count < 2:
        return float("inf"), count
    return float(np.sqrt(count / (count - 1) * ((shares - shares.mean()) ** 2).sum())), count


def fitted_constant(
    widths: Float[np.ndarray, " width"],
    values: Float[np.ndarray, "family width"],
    weights: Float[np.ndarray, " width"],
) -> tuple[Estimate, Float[np.ndarray, " width"]]:
    r"""a of the means $\langle v_N \rangle = a + c/N$, from families whose widths are correlated in any way.

    Every $\sum_N b_N v_N$ with $\sum b_N = 1$ and $\sum b_N / N = 0$ has the mean a. With three widths or
    more also $\sum b_N N = 0$: of v = N (q - q_inf) that leaves differences of q within families, without the
    limit and the noise of first order that all widths of a family share. What freedom is left is used for the
    least scatter over families: one such combination of each is regressed on what others add to it, of mean
    zero, and the intercept is a. For Gaussian values Student's t with F - 1 - (W - 3) degrees of freedom is
    exact. With few families b is that of the fit weighted by `weights` instead.

    **Arguments:** `values`, of F >= 2 families, at every one of W widths.
    **Returns:** the estimate, and b.
    """
    count, wide = values.shape
    rows = np.stack([np.ones(wide), widths.min() / widths, widths / widths.max()])[: min(wide, 3)]
    scaled = rows * weights
    plain = scaled.T @ np.linalg.solve(scaled @ rows.T, np.eye(len(rows))[0])
    free = np.linalg.svd(rows)[2][len(rows) :].T
    if count < 3 * free.shape[1] + 4:
        free = free[:, :0]
    design = np.column_stack([np.ones(count), values @ free])
    response = values @ plain
    found = np.linalg.lstsq(design, response, rcond=None)[0]
    dof = count - design.shape[1]
    rest = response - design @ found
    unit = np.linalg.pinv(design.T @ design)[0, 0]
    error = float(np.sqrt(max(0.0, unit * (rest @ rest) / dof)))
    return Estimate(value=float(found[0]), error=error, dof=float(dof)), plain - free @ found[1:]


def usable(labels: Int[np.ndarray, "width seed"] | None, valid: Bool[np.ndarray, "width seed"]):
    """Labels of the networks that count, width by width; None without families."""
    return None if labels is None else [row[good] for row, good in zip(labels, valid, strict=True)]
