"""Runs at several learning rates, or other settings: a sweep, and the records at the best of them."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from widthwise.adapters.collect import combine
from widthwise.adapters.found_run import Run
from widthwise.errors import InputError


def sweep_of(by_rate: Mapping[float | None, Sequence[Run]]) -> tuple[xr.Dataset, xr.Dataset]:
    """`loss` (value, width, seed) at the last step that all rates share, and the records at the rate that is
    best at the widest width.

    **Errors:** `InputError` if some runs say their rate and others do not, or no step is shared.
    """
    if None in by_rate:
        raise InputError("some runs say their rate and others do not: give runs of one kind")
    records = {float(rate or 0.0): combine(list(runs)) for rate, runs in by_rate.items()}
    shared = set.intersection(*(set(each["step"].to_numpy().tolist()) for each in records.values()))
    if not shared:
        raise InputError("runs at different rates share no step: log them at the same steps")
    last = max(shared)
    losses = []
    for each in records.values():
        loss = each["loss"].isel(split=-1) if "split" in each["loss"].dims else each["loss"]
        losses.append(loss.sel(step=last).load().reset_coords(drop=True))
    values = np.array(list(records))
    joined = xr.concat(losses, xr.Variable(("value",), values), join="outer")
    sweep = xr.Dataset({"loss": joined})
    widest = sweep["loss"].isel(width=-1).mean("seed", skipna=True).to_numpy()
    if not np.isfinite(widest).any():
        raise InputError("no run of the widest width has a finite loss at the last step that all share")
    return sweep, records[float(values[np.nanargmin(widest)])]
