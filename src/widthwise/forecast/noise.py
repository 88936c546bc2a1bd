"""How much networks of one width differ by their seeds, and how long along the steps."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from widthwise.forecast.curves import Curves

MOST_FALL, FALLS = 3.0, 4  # largest power of 1/N by which the variance over seeds may fall; values per unit
BORROWED = 4.0  # degrees of freedom that the neighboring steps lend to the variance at one step
WINDOW = 0.5  # of neighboring steps, in log steps
FALL_WINDOW = 1.0
UNKNOWN_MEMORY = 1.0  # in log steps, of noise that no seeds show


@dataclass(frozen=True)
class Noise:
    r"""Variance of one network's loss, $\sigma^2(t) (N / N_0)^{-b(t)}$ at width N, N_0 the narrowest.

    **Fields:** `variance`, sigma^2 at each step, in squares of the loss; `fall`, b; `widest`, the variance at
    the widest width, by the law or as measured, whichever is more; `dof`, degrees of freedom; `share`, what
    each step knows that others do not: one over the number of steps that its noise is shared with;
    `from_seeds`, or from the scatter of widths about a power law.
    """

    variance: Float[np.ndarray, " step"]
    fall: Float[np.ndarray, " step"]
    widest: Float[np.ndarray, " step"]
    dof: float
    share: Float[np.ndarray, " step"]
    from_seeds: bool

    def relative(
        self, widths: Float[np.ndarray, " width"], narrowest: float
    ) -> Float[np.ndarray, "step width"]:
        """Variances at widths over that at the narrowest."""
        return (widths / narrowest) ** -self.fall[:, None]


def seed_noise(curves: Curves) -> Noise | None:
    r"""From two or more seeds at one width or more; None without.

    Spikes, and widths that scatter more than others, make the variance less certain than the number of
    networks says: $2 / \nu = 2 / \nu_0 + \kappa / n$, with the excess kurtosis of n standardized deviations.
    """
    several = curves.seeds > 1
    if not several.any():
        return None
    losses, widths = curves.losses[several], curves.widths[several]
    dofs = curves.seeds[several] - 1.0
    spread = np.nanvar(losses, axis=1, ddof=1)
    fall = _fall(curves, widths, spread, dofs)
    relative = (widths[:, None] / curves.widths[0]) ** -fall
    pooled = dofs @ (spread / relative) / dofs.sum()
    near = neighbors(curves.time, WINDOW)
    around = np.exp(near @ np.log(pooled + curves.floor**2) / near.sum(axis=1))
    dof = dofs.sum()
    variance = (dof * pooled + BORROWED * around) / (dof + BORROWED) + curves.floor**2
    left = losses - np.nanmean(losses, axis=1, keepdims=True)
    unit = left / np.sqrt((dofs / curves.seeds[several])[:, None, None] * (relative * variance)[:, None])
    unit = unit.reshape(-1, unit.shape[-1])
    unit = unit[np.isfinite(unit).all(axis=1)]
    kurtosis = max(0.0, float(np.mean(unit**4) / np.mean(unit**2) ** 2) - 3.0)
    known = 2.0 / (2.0 / dof + kurtosis / len(unit))
    measured = np.exp(near @ np.log(spread[-1] + curves.floor**2) / near.sum(axis=1))
    widest = np.maximum(variance * (curves.widths[-1] / curves.widths[0]) ** -fall, measured)
    return Noise(variance, fall, widest, float(max(known, 2.0)), _shares(unit, dof), True)


def scatter_noise(curves: Curves, least_squares: Float[np.ndarray, " step"]) -> Noise:
    """Of one seed a width: from what is left of a power law with three constants at each step.

    Theory has the variance fall as 1/N. Steps within a factor e count as one.
    """
    freedom = max(len(curves.widths) - 3, 1)
    near = neighbors(curves.time, UNKNOWN_MEMORY)
    variance = near @ least_squares / near.sum(axis=1) / freedom
    rough = _roughness(curves)
    span = np.ptp(curves.time) / UNKNOWN_MEMORY + 1
    share = np.full(len(curves.steps), min(1.0, span / len(curves.steps)))
    variance = np.maximum(variance, rough) + curves.floor**2
    widest = variance * curves.widths[0] / curves.widths[-1]
    return Noise(variance, np.ones(len(variance)), widest, 2.0 * freedom, share, False)


def neighbors(time: Float[np.ndarray, " step"], window: float) -> Bool[np.ndarray, "step step"]:
    """Which steps are within a window of each, in log steps."""
    return np.abs(time[:, None] - time[None, :]) <= window


def _roughness(curves: Curves) -> Float[np.ndarray, " step"]:
    """Variance of what changes from step to step: of second differences over the variance of theirs."""
    if len(curves.steps) < 5:
        return np.zeros(len(curves.steps))
    t = curves.time
    before, after = t[1:-1] - t[:-2], t[2:] - t[1:-1]
    left, right = after / (before + after), before / (before + after)
    means = curves.means
    second = means[:, 1:-1] - left * means[:, :-2] - right * means[:, 2:]
    relative = (curves.widths[:, None] / curves.widths[0]) ** 1.0
    each = np.median(second**2 * relative, axis=0) / 0.455 / (1 + left**2 + right**2)
    near = neighbors(t, WINDOW)[:, 1:-1]
    count = near.sum(axis=1)
    # A curve's own bends are no noise: the typical one of the steps around.
    return np.array([np.median(each[row]) if n else 0.0 for row, n in zip(near, count, strict=True)])


def _fall(
    curves: Curves,
    widths: Float[np.ndarray, " width"],
    spread: Float[np.ndarray, "width step"],
    dofs: Float[np.ndarray, " width"],
) -> Float[np.ndarray, " step"]:
    """b of N^-b at each step: the slope through the log variances, which are averaged over neighboring steps,
    drawn to theory's 1 where few seeds show it, and rounded."""
    if len(widths) < 2:
        return np.ones(len(curves.steps))
    near = neighbors(curves.time, FALL_WINDOW).astype(float)
    level = np.log(spread + curves.floor**2) @ (near / near.sum(axis=1, keepdims=True)).T
    x = np.log(widths)
    x = x - dofs @ x / dofs.sum()
    squared = float(dofs @ x**2)
    # The variance of a log variance is about 2 / dof; that of b's prior is 1/4.
    slope = (squared / 2 * -(dofs * x) @ level / squared + 4.0) / (squared / 2 + 4.0)
    return np.rint(FALLS * np.clip(slope, 0.0, MOST_FALL)) / FALLS


def _shares(left: Float[np.ndarray, "network step"], dof: float) -> Float[np.ndarray, " step"]:
    """One over the sum of squared correlations with all steps, less what chance alone gives."""
    size = np.sqrt((left**2).sum(axis=0))
    unit = left / np.where(size > 0, size, 1.0)
    squared = (unit.T @ unit) ** 2
    chance = 1.0 / max(dof, 2.0)
    known = np.clip((squared - chance) / (1 - chance), 0.0, 1.0)
    return 1.0 / np.maximum(known.sum(axis=1), 1.0)
