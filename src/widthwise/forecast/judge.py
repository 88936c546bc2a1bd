"""Whether a forecast may be trusted: too little data, broken by its backtest, or held."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from widthwise.forecast.backtest import Trial
from widthwise.forecast.curves import Curves
from widthwise.forecast.law import Law
from widthwise.wording import percent

Verdict = Literal["held", "broke", "too little data"]
FEWEST_WIDTHS, FEWEST_ALONE = 4, 5
NARROWEST_RANGE = 1.3
BROAD = 0.1  # half an interval over the loss
UNCOVERED, TOO_FAR = 0.6, 4.0
RISING = 3.0  # standard errors of the slope against log N


@dataclass(frozen=True)
class Judgment:
    """The verdict, and in words why."""

    verdict: Verdict
    why: str


def too_little(curves: Curves) -> str:
    """What is missing for any forecast; empty if nothing is."""
    count, widths = len(curves.widths), curves.widths
    alone = curves.seeds.max() < 2
    needed = FEWEST_ALONE if alone else FEWEST_WIDTHS
    if count < needed:
        return (
            f"{count} width{'s' if count > 1 else ''} of {curves.seeds.max()} seed"
            f"{'s' if curves.seeds.max() > 1 else ''}: a forecast that can be tested needs {needed}, or "
            f"{FEWEST_WIDTHS} with two seeds"
            if alone
            else f"{count} width{'s' if count > 1 else ''}: a forecast that can be tested needs {needed}"
        )
    if widths[-1] < NARROWEST_RANGE * widths[0]:
        return (
            f"widths {widths[0]:g} to {widths[-1]:g} differ by {percent(widths[-1] / widths[0] - 1)}: "
            f"{percent(NARROWEST_RANGE - 1)} or more tells how losses go with width"
        )
    if np.ptp(curves.means, axis=1).max() == 0:
        return "the losses are constant"
    return ""


def judge(
    law: Law, trials: tuple[Trial, ...], half: Float[np.ndarray, " step"], target: float, falls: bool = True
) -> Judgment:
    """Of a forecast whose intervals have the half width `half` at the widest width asked for.

    **Arguments:** `falls`, whether more of the number is worse, as of a loss.
    """
    curves, share = law.curves, law.noise.share
    if falls and (rising := _rises(law)):
        return Judgment("broke", rising)
    covered = float(np.mean([trial.covered.mean() for trial in trials]))
    worst = max(_worst(trial, share) for trial in trials)
    if covered < UNCOVERED or worst > TOO_FAR:
        return Judgment(
            "broke",
            f"intervals held {percent(covered, 2)} of what left-out widths measured, with errors of up to "
            f"{worst:.1f} standard errors in a third of training",
        )
    reach = (curves.widths[-1] / curves.widths[0]) ** 2
    if target > curves.widths[-1] * reach:
        return Judgment("too little data", f"width {target:g} is too far beyond {curves.widths[-1]:g}")
    size = np.abs(curves.means[-1]).clip(1e-300)
    if half[-1] > BROAD * size[-1]:
        return Judgment(
            "too little data", f"the interval at the last step is ±{percent(half[-1] / size[-1], 2)}"
        )
    return Judgment("held", f"intervals held {percent(covered, 2)} of what left-out widths measured")


def _worst(trial: Trial, share: Float[np.ndarray, " step"]) -> float:
    """The root mean squared error in standard errors of the worst third of the steps."""
    thirds = np.array_split(np.arange(len(share)), min(3, len(share)))
    return max(float(np.sqrt(np.average(trial.z[part] ** 2, weights=share[part]))) for part in thirds)


def _rises(law: Law) -> str:
    """Why wider networks are worse in the last third of training, beyond noise; empty if they are not.

    Tested is the slope of the mean losses against log N, weighted by their precisions. Where scaling is right
    wider is as good or better; where it is not, a limit may be approached from below that no wider network of
    the right scaling has.
    """
    curves = law.curves
    part = slice(-max(1, len(curves.steps) // 3), None)
    precision = (curves.seeds / law.noise.relative(curves.widths, float(curves.widths[0])))[part].T
    x = np.log(curves.widths)[:, None]
    x = x - (precision * x).sum(axis=0) / precision.sum(axis=0)
    squared = (precision * x**2).sum(axis=0)
    slope = (precision * x * curves.means[:, part]).sum(axis=0) / squared
    rise = slope * np.log(curves.widths[-1] / curves.widths[0])
    beyond = slope > RISING * np.sqrt(law.noise.variance[part] / squared)
    beyond &= curves.means[-1, part] > curves.means[0, part]
    if (beyond & (rise > 0.01 * np.abs(curves.means[0, part]))).mean() < 0.5:
        return ""
    return (
        f"the loss rises with width, {curves.means[0, -1]:.4g} at {curves.widths[0]:g} and "
        f"{curves.means[-1, -1]:.4g} at {curves.widths[-1]:g}: scaling, schedule or rates differ"
    )
