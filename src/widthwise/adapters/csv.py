"""Logs of losses, as most training codes write them: one row a step."""

import csv
from pathlib import Path

import numpy as np
import xarray as xr

from widthwise.adapters.found_run import Labels, Run
from widthwise.adapters.names import LARGEST_NUMBER, require_cell
from widthwise.errors import InputError

NEEDED = ("width", "seed", "step", "loss")
ORDER = {"train": 0, "test": 1}


def runs_of_csv(path: str | Path) -> list[Run]:
    """Every (width, seed) of a CSV file with the columns width, seed, step, loss, and perhaps split.

    Further columns are passed by. An empty, NaN or infinite loss is divergence from that step on. Steps are
    those at which every split has a loss.

    **Returns:** runs with `loss` (step, split).
    **Errors:** `InputError` naming the line that cannot be read, or a row that comes twice.
    """
    table: dict[tuple[int, int], dict[tuple[int, str], float]] = {}
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            named = [str(name).strip().lower() for name in reader.fieldnames or ()]
            columns = dict(zip(named, map(str, reader.fieldnames or ()), strict=True))
            twice = [name for name in (*NEEDED, "split") if named.count(name) > 1]
            if twice:
                raise InputError(f"{path} has {named.count(twice[0])} columns {twice[0]}: keep one of them")
            missing = [name for name in NEEDED if name not in columns]
            if missing:
                raise InputError(
                    f"{path} has no column {', '.join(missing)}: its first line names width, seed, step, loss"
                )
            for row in reader:
                cell, step, split, loss = _row(f"{path}, line {reader.line_num}", row, columns)
                losses = table.setdefault(cell, {})
                if (step, split) in losses:
                    raise InputError(
                        f"{path}, line {reader.line_num}: width {cell[0]}, seed {cell[1]}, step {step}"
                        f"{f', {split}' if split else ''} comes a second time: keep one of them"
                    )
                losses[step, split] = loss
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    if not table:
        raise InputError(f"{path} has no rows")
    splits = sorted({key[1] for rows in table.values() for key in rows}, key=lambda s: (ORDER.get(s, 2), s))
    labels = Labels(names={"split": tuple(splits)} if splits != [""] else {})
    return [_run(str(path), cell, rows, splits, labels) for cell, rows in sorted(table.items())]


def _row(where: str, row: dict[str, str], columns: dict[str, str]) -> tuple[tuple[int, int], int, str, float]:
    def number(name: str) -> float:
        text = (row[columns[name]] or "").strip()
        if name == "loss" and not text:
            return float("nan")
        try:
            return float(text)
        except ValueError as error:
            raise InputError(f"{where}: {name} is {text[:40]!r}, which is no number") from error

    def whole(name: str) -> int:
        value = number(name)
        if not value.is_integer() or abs(value) > LARGEST_NUMBER:
            raise InputError(f"{where}: {name} is {value}, which is no whole number, or too large")
        return int(value)

    try:
        cell = require_cell(whole("width"), whole("seed"))
    except InputError as error:
        raise error if where in str(error) else InputError(f"{where}: {error}") from error
    step, split = whole("step"), (row[columns["split"]] or "").strip() if "split" in columns else ""
    if step < 0 or len(split) > 40 or not (split.isprintable()):
        raise InputError(f"{where}: give steps from 0 on and splits such as train and test")
    return cell, step, split, number("loss")


def _run(
    path: str, cell: tuple[int, int], rows: dict[tuple[int, str], float], splits: list[str], labels: Labels
) -> Run:
    every = sorted({step for step, _ in rows})
    steps = [step for step in every if all((step, split) in rows for split in splits)]
    bad = [step for (step, _), loss in rows.items() if not np.isfinite(loss)]
    if not steps:
        lacking = [split for split in splits if not any((step, split) in rows for step in every)]
        raise InputError(
            f"{path}: width {cell[0]}, seed {cell[1]} has no step with a loss of every split"
            f"{f' (none of {lacking})' if lacking else ''}: log {', '.join(splits)} at the same steps"
        )
    values = np.array([[rows[step, split] for split in splits] for step in steps])
    arrays = {"loss": xr.Variable(("step", "split"), values)}
    return Run(path, *cell, np.array(steps), arrays, labels, diverged_at=min(bad, default=-1))
