r"""Which part of a tangent kernel differs between widths: eigenvalues, or the task's power in the modes.

With eigenvalues $\lambda_k$ and task powers $c_k$ a kernel learns along the residual curve
$R(t) = \sum_k c_k e^{-2 \lambda_k t} / \sum_k c_k$. Curves say more than powers of single modes, which swap
where eigenvalues are nearly equal.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from widthwise.analysis.seeds import bootstrap_counts

TIMES = 24
RESAMPLES = 200


@dataclass(frozen=True)
class Swap:
    """What of the gap between two residual curves comes with the eigenvalues alone; the rest with the powers.

    **Fields:** `share`, below 0 or above 1 where the two counteract, with its percentile `interval` over
    seeds; `largest`, the largest gap between the curves, of which R(0) = 1 is the unit.
    """

    share: float
    interval: tuple[float, float]
    largest: float


def residual_times(values: list[Float[np.ndarray, "_ mode"]]) -> Float[np.ndarray, " time"]:
    """From the fastest mode's time to the slowest one's, of the mean eigenvalues of all widths."""
    mean = np.mean([v.mean(axis=0) for v in values], axis=0)
    positive = mean[mean > 1e-9 * mean.max(initial=0)]
    if not len(positive):
        return np.zeros(1)
    return np.geomspace(0.1 / positive.max(), 2 / positive.min(), TIMES)


def residual_curves(
    values: Float[np.ndarray, "seed mode"],
    powers: Float[np.ndarray, "seed mode"],
    times: Float[np.ndarray, " time"],
) -> Float[np.ndarray, "seed time"]:
    """R(t) of each network, over the mean power of all; negative eigenvalues are rounding and count as 0."""
    decay = np.exp(-2 * np.maximum(values, 0)[:, None, :] * times[:, None])
    return (powers[:, None, :] * decay).sum(axis=2) / max(float(powers.sum(axis=1).mean()), 1e-300)


def swap_test(
    narrow: tuple[Float[np.ndarray, "a mode"], Float[np.ndarray, "a mode"]],
    wide: tuple[Float[np.ndarray, "b mode"], Float[np.ndarray, "b mode"]],
    alpha: float,
    rng: np.random.Generator,
) -> Swap:
    r"""Residual curves with the eigenvalues of one width and the powers of the other.

    With $R_{ab}$ of eigenvalues from a and powers from b, each the seeds' mean, the gap is exactly

    $$R_{nn} - R_{ww} = \frac{(R_{nw} - R_{ww}) + (R_{nn} - R_{wn})}{2}
      + \frac{(R_{wn} - R_{ww}) + (R_{nn} - R_{nw})}{2}$$

    the first part of which is the eigenvalues'. `share` is its projection on the whole, over logarithmic
    times.

    **Arguments:** eigenvalues and powers, descending, of the networks of two widths.
    """
    times = residual_times([narrow[0], wide[0]])
    sides = (narrow, wide)
    share, largest = _share([(v.mean(axis=0), c.mean(axis=0)) for v, c in sides], times)
    draws = []
    weights = [bootstrap_counts(len(v), RESAMPLES, rng) / len(v) for v, _ in sides]
    for pair in zip(*weights, strict=True):
        drawn = [(w @ v, w @ c) for w, (v, c) in zip(pair, sides, strict=True)]
        draws.append(_share(drawn, times)[0])
    low, high = np.quantile(draws, [alpha / 2, 1 - alpha / 2])
    return Swap(share, (float(low), float(high)), largest)


def _share(
    sides: list[tuple[Float[np.ndarray, " mode"], Float[np.ndarray, " mode"]]],
    times: Float[np.ndarray, " time"],
) -> tuple[float, float]:
    """The share, and the largest gap."""
    curves = np.array(
        [[residual_curves(v[None], c[None], times)[0] for _, c in sides] for v, _ in sides]
    )  # (eigenvalues of, powers of, time)
    whole = curves[0, 0] - curves[1, 1]
    own = ((curves[0, 1] - curves[1, 1]) + (curves[0, 0] - curves[1, 0])) / 2
    size = float(whole @ whole)
    return (float(whole @ own) / size if size > 0 else 0.0), float(np.abs(whole).max())
