"""The forecast's own test: the widest one and two widths left out, foretold, and compared with what was
measured."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from widthwise.forecast.curves import Curves
from widthwise.forecast.law import fit_law
from widthwise.forecast.noise import neighbors

LEVEL = 0.95
NORMAL = 1.959964
FEWEST = 3  # widths that a law is fitted to
DOUBT, WINDOW = 3.0, 1.5


@dataclass(frozen=True)
class Trial:
    """One left-out width: what was foretold from the `used` narrowest, with its interval, and `measured`."""

    width: float
    used: int
    foretold: Float[np.ndarray, " step"]
    low: Float[np.ndarray, " step"]
    high: Float[np.ndarray, " step"]
    measured: Float[np.ndarray, " step"]
    nearest: Float[np.ndarray, " step"]

    @property
    def covered(self) -> Bool[np.ndarray, " step"]:
        """Where the interval holds what was measured."""
        return (self.low <= self.measured) & (self.measured <= self.high)

    @property
    def z(self) -> Float[np.ndarray, " step"]:
        """The error in standard errors: 1.96 is at the end of the interval."""
        error = self.measured - self.foretold
        half = np.where(error > 0, self.high - self.foretold, self.foretold - self.low)
        return NORMAL * error / np.maximum(half, 1e-300)


def backtest(curves: Curves, fewest: int = FEWEST) -> tuple[Trial, ...]:
    """Forecasts of the widest width from all others, and of the two widest from the rest."""
    found = []
    for used in (len(curves.widths) - 1, len(curves.widths) - 2):
        if used < fewest:
            continue
        law = fit_law(curves.first(used))
        for at in range(used, len(curves.widths)):
            told = law.at(float(curves.widths[at]), float(curves.seeds[at]))
            middle, low, high = (told.quantile(q) for q in (0.5, (1 - LEVEL) / 2, (1 + LEVEL) / 2))
            known = curves.means[used - 1]
            found.append(Trial(float(curves.widths[at]), used, middle, low, high, curves.means[at], known))
    return tuple(found)


def widening(
    curves: Curves, trials: tuple[Trial, ...], share: Float[np.ndarray, " step"]
) -> Float[np.ndarray, " step"]:
    """Factor by which intervals are widened at each step, at least 1: the root mean squared error of the
    trials in standard errors around it, drawn to 1 as if by three further trials that held."""
    if not trials:
        return np.ones(len(curves.steps))
    squared = np.mean([np.minimum(np.abs(trial.z), 20.0) ** 2 for trial in trials], axis=0)
    near = neighbors(curves.time, WINDOW) * share
    weight = near.sum(axis=1)
    return np.sqrt(np.maximum((DOUBT + near @ squared * 2) / (DOUBT + 2 * weight), 1.0))
