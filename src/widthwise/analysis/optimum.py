"""Where along a swept setting a loss is least, and until where training is stable, at each width."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from widthwise.errors import InputError

RESAMPLES, LEVEL = 1000, 0.95


def find_optimum(sweep: xr.Dataset, *, seed: int = 0) -> xr.Dataset:
    r"""The best value of a sweep at each width.

    The best of the values tried, by the mean loss over seeds, and between them the minimum of the parabola
    through the mean losses of it and its neighbors, in the logarithm of the value. A value at which any
    network diverged counts as infinitely bad; without any other there is no best value (NaN). At an end
    of the sweep the best value is the end itself, and the true one may lie beyond.
    **Arguments:** `sweep`, `loss` (value, width, seed) with positive values, ascending.
    **Returns:** by width: `best`, of the values tried; `optimum`, between them; `optimum_low` and
    `optimum_high`, its 95 % interval from a bootstrap over seeds (NaN with one seed); `at_end`.
    **Errors:** `InputError` if the values are not positive and ascending, or fewer than three.
    """
    values = sweep["value"].to_numpy().astype(float)
    require_values(values)
    losses = sweep["loss"].transpose("value", "width", "seed").to_numpy().astype(float)
    losses = np.where(np.isfinite(losses), losses, np.inf)
    rng = np.random.default_rng(seed)
    rows = []
    for one in np.moveaxis(losses, 1, 0):
        mean, seeds = one.mean(axis=1), one.shape[1]
        drawn = rng.integers(seeds, size=(RESAMPLES, seeds))
        found = _minima(values, one[:, drawn].mean(axis=2)) if seeds > 1 else np.array([np.nan])
        if not np.isfinite(mean).any():
            rows.append((np.nan, np.nan, np.nan, np.nan, False))
            continue
        best = int(np.argmin(mean))
        low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        at_end = best in (0, len(values) - 1)
        rows.append((values[best], _minima(values, mean[:, None])[0], low, high, at_end))
    names = ("best", "optimum", "optimum_low", "optimum_high", "at_end")
    columns = zip(names, zip(*rows, strict=True), strict=True)
    return xr.Dataset(
        {name: ("width", np.array(column)) for name, column in columns},
        coords={"width": sweep["width"].to_numpy()},
        attrs=sweep.attrs,
    )


def largest_stable(sweep: xr.Dataset) -> xr.DataArray:
    """The largest value, of a learning rate, up to which training is stable at each width: at it and at all
    smaller ones every network's last loss is finite and not above its first one. NaN if there is none.

    **Arguments:** `sweep`, `loss` and `initial_loss` (value, width, seed) with ascending values.
    """
    steady = (sweep["loss"] <= sweep["initial_loss"]).all("seed").transpose("value", "width").to_numpy()
    count = np.cumprod(steady, axis=0).sum(axis=0)
    values = np.append(np.nan, sweep["value"].to_numpy().astype(float))
    return xr.DataArray(values[count], dims="width", coords={"width": sweep["width"].to_numpy()})


def require_values(values: Sequence[float] | Float[np.ndarray, " value"]) -> None:
    """Raise `InputError` unless a minimum can be sought among these values of a setting."""
    if len(values) < 3 or values[0] <= 0 or (np.diff(values) <= 0).any():
        shown = ", ".join(f"{value:g}" for value in values)
        raise InputError(f"values {shown}: give three or more different positive ones, ascending")


def _minima(
    values: Float[np.ndarray, " value"], losses: Float[np.ndarray, "value resample"]
) -> Float[np.ndarray, " resample"]:
    """By the parabola through the least loss and its neighbors, within half the way to them."""
    x, columns = np.log(values), np.arange(losses.shape[1])
    best = np.argmin(losses, axis=0)
    inner = np.clip(best, 1, len(values) - 2)
    left, right = x[inner - 1] - x[inner], x[inner + 1] - x[inner]
    with np.errstate(invalid="ignore", divide="ignore"):
        below, above = (losses[inner + side, columns] - losses[inner, columns] for side in (-1, 1))
        slope = (below * right / left - above * left / right) / (right - left)
        curvature = 2 * (above / right - below / left) / (right - left)
        shift = np.clip(-slope / curvature, left / 2, right / 2)
    usable = (best == inner) & np.isfinite(shift) & (curvature > 0)
    return np.where(usable, np.exp(x[inner] + np.where(usable, shift, 0.0)), values[best])
