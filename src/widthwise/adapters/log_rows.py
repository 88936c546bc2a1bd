"""Rows of a log, one a step, as runs."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import xarray as xr

from widthwise.adapters.found_run import Labels, Run
from widthwise.adapters.log_columns import Columns, find_columns
from widthwise.adapters.names import LARGEST_NUMBER, require_cell
from widthwise.errors import InputError

ORDER = {"train": 0, "test": 1}
Row = Mapping[str, object]
Cell = tuple[int, int, float | None]


def runs_of_rows(
    origin: str,
    names: Sequence[str],
    rows: Iterable[tuple[str, Row]],
    told: Mapping[str, str],
    settings: Collection[str] = (),
) -> list[Run]:
    """Every (width, seed), at every learning rate, of rows with the columns `names`.

    Without a column of seeds the seed is 0. A loss that is NaN, infinite or empty is divergence from that
    step on; where a row has other numbers, an empty one only says that this loss was not measured then.
    Steps are those at which every split has a loss.

    **Arguments:** `rows`, with where each stands; `told`, columns by role; `settings`, columns that are the
    same in all rows of a run.
    **Returns:** runs with `loss` (step, split).
    **Errors:** `InputError` naming the row that cannot be read, or that comes twice.
    """
    columns = find_columns(origin, names, told, settings)
    used = {*columns.found.values(), *columns.wide}
    others = [name for name in names if name not in used and name not in settings]
    table: dict[Cell, dict[tuple[int, str], float]] = {}
    for where, row in rows:
        for cell, step, split, loss in _losses(where, row, columns, others):
            losses = table.setdefault(cell, {})
            if (step, split) in losses:
                rate = "" if cell[2] is None else f", rate {cell[2]:g}"
                raise InputError(
                    f"{where}: width {cell[0]}, seed {cell[1]}{rate}, step {step}"
                    f"{f', {split}' if split else ''} comes a second time: keep one of them"
                )
            losses[step, split] = loss
    if not table:
        raise InputError(f"{origin} has no rows")
    splits = sorted({key[1] for rows in table.values() for key in rows}, key=lambda s: (ORDER.get(s, 2), s))
    labels = Labels(names={"split": tuple(splits)} if splits != [""] else {})
    ordered = sorted(table.items(), key=lambda item: (item[0][2] or 0.0, *item[0][:2]))
    return [_run(origin, cell, rows, splits, labels) for cell, rows in ordered]


def _losses(
    where: str, row: Row, columns: Columns, others: Sequence[str]
) -> Iterable[tuple[Cell, int, str, float]]:
    """(cell, step, split, loss) of a row, none where no loss was measured."""
    found = columns.found
    if columns.wide:
        step = _whole(where, "step", row.get(found["step"]))
        for name, (width, seed) in columns.wide.items():
            if not _empty(row.get(name)):
                yield (
                    (*_cell(where, width, seed), None),
                    _from_0(where, step),
                    "",
                    _number(where, name, row[name]),
                )
        return
    loss = row.get(found["loss"])
    if _empty(loss) and (found["loss"] not in row or any(not _empty(row.get(name)) for name in others)):
        return
    width = _whole(where, "width", row.get(found["width"]))
    seed = _whole(where, "seed", row.get(found["seed"])) if "seed" in found else 0
    cell = _cell(where, width, seed)
    rate = _number(where, "rate", row.get(found["rate"])) if "rate" in found else None
    if rate is not None and not (rate > 0 and math.isfinite(rate)):
        raise InputError(f"{where}: rate is {rate}: give positive numbers")
    split = str(row.get(found["split"]) or "").strip() if "split" in found else ""
    step = _from_0(where, _whole(where, "step", row.get(found["step"])))
    if len(split) > 40 or not split.isprintable():
        raise InputError(f"{where}: give splits such as train and test")
    yield (*cell, rate), step, split, math.nan if _empty(loss) else _number(where, "loss", loss)


def _empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _number(where: str, name: str, value: object) -> float:
    try:
        return float("" if value is None else value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        text = "" if value is None else str(value).strip()
        raise InputError(f"{where}: {name} is {text[:40]!r}, which is no number") from None


def _whole(where: str, name: str, value: object) -> int:
    number = _number(where, name, value)
    if not number.is_integer() or abs(number) > LARGEST_NUMBER:
        raise InputError(f"{where}: {name} is {number}, which is no whole number, or too large")
    return int(number)


def _from_0(where: str, step: int) -> int:
    if step < 0:
        raise InputError(f"{where}: step is {step}: give steps from 0 on")
    return step


def _cell(where: str, width: int, seed: int) -> tuple[int, int]:
    try:
        return require_cell(width, seed)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _run(
    origin: str, cell: Cell, rows: dict[tuple[int, str], float], splits: list[str], labels: Labels
) -> Run:
    every = sorted({step for step, _ in rows})
    steps = [step for step in every if all((step, split) in rows for split in splits)]
    bad = [step for (step, _), loss in rows.items() if not math.isfinite(loss)]
    if not steps:
        lacking = [split for split in splits if not any((step, split) in rows for step in every)]
        raise InputError(
            f"{origin}: width {cell[0]}, seed {cell[1]} has no step with a loss of every split"
            f"{f' (none of {lacking})' if lacking else ''}: log {', '.join(splits)} at the same steps"
        )
    values = np.array([[rows[step, split] for split in splits] for step in steps])
    arrays = {"loss": xr.Variable(("step", "split"), values)}
    first_bad = min(bad, default=-1)
    return Run(
        origin, *cell[:2], np.array(steps), arrays, labels, diverged_at=first_bad, rate=cell[2], of_log=True
    )
