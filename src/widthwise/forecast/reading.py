"""From records or logs to curves: which networks count, and what is said of those that do not."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from widthwise.errors import InputError
from widthwise.forecast.curves import Curves
from widthwise.study.stored import read_json

MOST_STEPS = 1000
PREFERRED = ("test", "validation", "val", "eval", "train")


def read_curves(
    records: xr.Dataset, variable: str = "loss", split: str | None = None
) -> tuple[Curves, tuple[str, ...]]:
    """Curves of a variable (width, seed, step) or (width, seed, step, split), and what was left out.

    **Arguments:** `split`, its name; of several the test's if not given. Networks that are not done, that
    diverged, or are not finite at a step are left out with all of their steps; of very many steps about a
    thousand are read, evenly in log steps.
    **Errors:** `InputError` for records without the variable, a split or a network.
    """
    if not isinstance(records, xr.Dataset):
        raise InputError(f"`records` is a {type(records).__name__}: give what `ww.open_runs` returns")
    if variable not in records:
        known = [str(n) for n in records if {"width", "seed", "step"} <= set(map(str, records[n].dims))]
        raise InputError(f"the records have no `{variable}`: they have {', '.join(known) or 'none'}")
    array, notes = records[variable], list(_notes(records))
    missing = [dim for dim in ("width", "seed", "step") if dim not in array.dims or dim not in records.coords]
    extra = [str(dim) for dim in array.dims if dim not in ("width", "seed", "step", "split")]
    if missing or extra:
        raise InputError(f"`{variable}` has dimensions {array.dims}: give width, seed and step")
    if "split" in array.dims:
        array = array.isel(split=_split(records, array.sizes["split"], split))
    steps = _steps(records["step"].to_numpy())
    array = array.transpose("width", "seed", "step").isel(step=steps)
    widths = records["width"].to_numpy().astype(float)
    order = np.argsort(widths)
    if len(np.unique(widths)) < len(widths) or not (np.isfinite(widths) & (widths > 0)).all():
        raise InputError("`width` must be positive, each once")
    losses = array.to_numpy().astype(float)[order]
    if "done" in records:
        losses[~records["done"].transpose("width", "seed").to_numpy().astype(bool)[order]] = np.nan
    there = np.isfinite(losses).any(axis=2)
    whole = np.isfinite(losses).all(axis=2)
    losses[~whole] = np.nan
    broken = there & ~whole
    if broken.any():
        notes.append(
            f"{int(broken.sum())} of {int(there.sum())} networks diverged or lack steps, and are left out"
        )
    used = whole.sum(axis=1) > 0
    if not used.all():
        lost = ", ".join(f"{width:g}" for width in widths[order][~used])
        notes.append(f"no network of width {lost} is whole: left out")
    if not used.any():
        raise InputError(f"no network has a finite `{variable}` at all steps: nothing to forecast from")
    chosen = records["step"].to_numpy()[steps].astype(float)
    return Curves(widths[order][used], chosen, losses[used]), tuple(notes)


def _steps(steps: np.ndarray) -> np.ndarray:
    """Positions of at most about a thousand, evenly in log steps."""
    if len(steps) == 0 or (np.diff(steps) <= 0).any():
        raise InputError("`step` must be ascending, and not empty")
    if len(steps) <= MOST_STEPS:
        return np.arange(len(steps))
    time = np.log1p(steps.astype(float))
    wanted = np.linspace(time[0], time[-1], MOST_STEPS)
    return np.unique(np.append(np.searchsorted(time, wanted).clip(0, len(steps) - 1), len(steps) - 1))


def _split(records: xr.Dataset, count: int, wanted: str | None) -> int:
    names = [str(n) for n in records["split"].to_numpy()] if "split" in records.coords else []
    if len(names) != count or "split" not in records["split"].dims:
        names = []
    if wanted is not None:
        if wanted not in names:
            raise InputError(f"there is no split {wanted!r}: there are {', '.join(names) or 'none'}")
        return names.index(wanted)
    return next((names.index(name) for name in PREFERRED if name in names), count - 1)


def _notes(records: xr.Dataset) -> tuple[str, ...]:
    try:
        found = read_json(str(records.attrs.get("notes", "[]")))
    except ValueError:
        return ()
    return tuple(map(str, found)) if isinstance(found, Sequence) and not isinstance(found, str) else ()
