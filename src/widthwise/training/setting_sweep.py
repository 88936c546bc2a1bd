"""The same study at several values of one setting, such as the learning rate."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import xarray as xr

from widthwise.errors import InputError
from widthwise.progress import SILENT, Progress
from widthwise.study import Study
from widthwise.study.values import nearest, shown
from widthwise.training.program import Compiler
from widthwise.training.train import train_ensemble


def sweep_studies(study: Study, key: str, values: Sequence[object]) -> list[Study]:
    """The study with `key`, as in "training.learning_rate", at each value.

    **Errors:** `InputError` for a key that no study has, values that it cannot have, or fewer than two; for a
    study that records no loss.

    >>> [s.training.batch for s in sweep_studies(Study(name="a"), "training.batch", [32, 64])]
    [32, 64]
    """
    table, _, name = key.partition(".")
    known = [each.name for each in fields(getattr(study, table))] if table in ("network", "training") else []
    if name not in known:
        close = nearest(name, known)
        meant = f"; did you mean {table}.{close}?" if close else ", such as training.learning_rate"
        raise InputError(f"`{key}`: give a key of [network] or [training]{meant}")
    if "loss" not in study.record.quantities:
        raise InputError(
            f'`record.quantities` = {shown(study.record.quantities)}: a sweep needs "loss" there'
        )
    if len(values) < 2 or len(set(values)) < len(values):
        raise InputError(f"`{key}` = {list(values)}: give two or more different values")
    settings = getattr(study, table)
    if isinstance(getattr(settings, name), float):
        values = [float(value) if isinstance(value, int) else value for value in values]
    return [replace(study, **{table: replace(settings, **{name: value})}) for value in values]


def train_sweep(
    study: Study,
    key: str,
    values: Sequence[object],
    out: str | Path,
    *,
    progress: Progress = SILENT,
) -> xr.Dataset:
    """Train the ensemble at each value of one setting; each keeps its own store below `out`, and resumes.

    **Returns:** `loss` and `initial_loss` (value, width, seed): those of the last and the first recorded
    step, over held-out points where there are some, NaN where the network diverged; coordinates `value`,
    `width`, `seed`; attribute `key`.
    """
    losses, compiler = [], Compiler()
    for value, one in zip(values, sweep_studies(study, key, values), strict=True):
        progress.say(f"{key} = {value}")
        place = Path(out) / f"{key}={value}" / "records.zarr"
        records = train_ensemble(one, place, progress=progress, compiler=compiler)
        curves = records["loss"].isel(split=-1)
        ends = {"loss": curves.isel(step=-1), "initial_loss": curves.isel(step=0)}
        losses.append(xr.Dataset({name: end.load().reset_coords(drop=True) for name, end in ends.items()}))
    found = xr.concat(losses, xr.Variable(("value",), np.asarray(values)), join="exact")
    return found.assign_attrs(key=key)
