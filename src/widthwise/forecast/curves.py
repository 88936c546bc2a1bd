"""Losses of several widths, as a forecast needs them."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

DECIMALS = 9


@dataclass(frozen=True)
class Curves:
    """Losses (or any other number) of networks of ascending widths at ascending steps.

    **Fields:** `losses` (width, seed, step), NaN for networks that are missing, at all of its steps.
    """

    widths: Float[np.ndarray, " width"]
    steps: Float[np.ndarray, " step"]
    losses: Float[np.ndarray, "width seed step"]

    @cached_property
    def time(self) -> Float[np.ndarray, " step"]:
        """tau = log(1 + step)."""
        return np.log1p(self.steps)

    @cached_property
    def seeds(self) -> Int[np.ndarray, " width"]:
        """Networks of each width."""
        return np.isfinite(self.losses[:, :, 0]).sum(axis=1)

    @cached_property
    def means(self) -> Float[np.ndarray, "width step"]:
        """Over seeds."""
        return np.nanmean(self.losses, axis=1)

    @cached_property
    def floor(self) -> Float[np.ndarray, " step"]:
        """Standard error of one number by the digits it is written with."""
        flat = self.losses.reshape(-1, len(self.steps))
        size = np.nanmax(np.abs(flat), axis=0)
        flat = np.where(np.isfinite(flat), flat, 0.0)
        floor = np.maximum(1e-7 * size, 1e-300)
        for decimals in range(DECIMALS, 0, -1):
            exact = (np.abs(np.round(flat, decimals) - flat) <= 1e-12 * size).all(axis=0)
            floor = np.where(exact, np.maximum(floor, 10.0**-decimals / 12**0.5), floor)
        return floor

    def first(self, count: int) -> "Curves":
        """Those of the `count` narrowest widths."""
        return replace(self, widths=self.widths[:count], losses=self.losses[:count])
