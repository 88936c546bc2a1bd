"""How far a run is, read from its store and its journal without disturbing who trains."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from widthwise.progress import seconds_of_network
from widthwise.records.folder import open_folder
from widthwise.records.journal import Entry, journal_folder, read_entry, read_parts
from widthwise.records.layout import Cell, cells_of
from widthwise.records.read import check_same_study, open_records, read_attributes
from widthwise.study import Study

CellState = Literal["done", "running", "interrupted", "failed", "waiting"]
STATES: tuple[CellState, ...] = ("done", "running", "interrupted", "failed", "waiting")


@dataclass(frozen=True)
class CellStatus:
    """One cell: how it stands, seconds of work so far, and, if it failed, why."""

    cell: Cell
    state: CellState
    seconds: float
    where: str
    message: str


@dataclass(frozen=True)
class RunStatus:
    """All cells of a run. `seconds_left` if as many are trained at once as now; None before any is done."""

    cells: list[CellStatus]
    seconds_left: float | None

    def count(self, state: CellState) -> int:
        """Cells that stand so."""
        return sum(each.state == state for each in self.cells)

    def as_dict(self) -> dict[str, object]:
        """Plain JSON data."""
        cells = [
            {
                "width": each.cell.width,
                "seeds": [each.cell.start, each.cell.stop - 1],
                "state": each.state,
                "seconds": round(each.seconds, 3),
                "where": each.where,
                "message": each.message,
            }
            for each in self.cells
        ]
        counts = {state: self.count(state) for state in STATES}
        return {
            "schema": 1,
            "total": len(self.cells),
            **counts,
            "seconds_left": self.seconds_left,
            "cells": cells,
        }


def run_status(study: Study, store: str | Path) -> RunStatus:
    """How far the training of a study is, in the store at a path or URL, which need not exist yet.

    A cell whose process is gone, or has been silent for long, is interrupted.
    **Errors:** `StoreError` if the store is damaged or holds another study.
    """
    folder = open_folder(store)
    cells, now = cells_of(study.ensemble), time.time()
    if not folder.exists():
        return RunStatus([CellStatus(cell, "waiting", 0.0, "", "") for cell in cells], None)
    attributes = read_attributes(folder)
    check_same_study(folder.name, attributes, study)
    identity, journal = str(attributes.get("training_hash")), journal_folder(folder)
    done = _done(str(store))
    found = [
        _status(part, finished, (read_parts if finished else read_entry)(journal, part, identity), now)
        for cell in cells
        for part, finished in _parts(cell, done.get(cell.width, np.zeros(0, bool)))
    ]
    return RunStatus(found, _seconds_left(found))


def _done(store: str) -> dict[int, np.ndarray]:
    """The marks of each width."""
    records = open_records(store)
    try:
        marks = records["done"].to_numpy()
    except ValueError:  # a damaged mark: found and mended when training goes on
        marks = np.zeros(records["done"].shape, bool)
    return dict(zip(records["width"].to_numpy().tolist(), marks, strict=True))


def _parts(cell: Cell, done: np.ndarray) -> list[tuple[Cell, bool]]:
    """A cell as far as it is done, and what is left of it, as where seeds were added."""
    middle = cell.start + int(np.cumprod(done[cell.start : cell.stop]).sum())
    parts = [(replace(cell, stop=middle), True), (replace(cell, start=middle), False)]
    return [(part, finished) for part, finished in parts if part.start < part.stop]


def _status(cell: Cell, done: bool, entry: Entry | None, now: float) -> CellStatus:
    if entry is None:
        return CellStatus(cell, "done" if done else "waiting", 0.0, "", "")
    where = f"{entry.host}, process {entry.pid}"
    if entry.is_alive(now):
        return CellStatus(cell, "running", entry.seconds + now - entry.heartbeat, where, "")
    if done:
        return CellStatus(cell, "done", entry.seconds, where, "")
    if entry.state == "failed":
        return CellStatus(cell, "failed", entry.seconds, where, entry.message)
    if entry.state == "done":  # taken back, as when its files were damaged
        return CellStatus(cell, "waiting", 0.0, "", "")
    return CellStatus(cell, "interrupted", entry.seconds, where, "")


def _seconds_left(cells: list[CellStatus]) -> float | None:
    """What is to be done over the number of cells being trained at once, from what finished cells took."""
    taken: dict[int, list[float]] = {}
    for each in cells:
        if each.state == "done" and each.seconds > 0:
            taken.setdefault(each.cell.width, []).append(each.seconds / (each.cell.stop - each.cell.start))
    left = [each for each in cells if each.state != "done"]
    if not taken:
        return None if left else 0.0
    known = {width: float(np.mean(seconds)) for width, seconds in taken.items()}
    total = 0.0
    for each in left:
        whole = seconds_of_network(known, each.cell.width) * (each.cell.stop - each.cell.start)
        total += max(whole - (each.seconds if each.state == "running" else 0.0), 0.0)
    return total / max(1, sum(each.state == "running" for each in cells))
