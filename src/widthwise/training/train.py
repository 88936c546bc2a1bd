"""Train an ensemble of finite networks and record it. The experiment half begins here."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import numpy as np
import xarray as xr

from widthwise.data import Points
from widthwise.data.load import load_points
from widthwise.progress import SILENT, Progress
from widthwise.records import Cell, Layout, RecordStore, open_records, open_store
from widthwise.study import Study
from widthwise.training.program import Program, compile_program


def train_ensemble(
    study: Study,
    out: str | Path | None = None,
    *,
    points: Points | None = None,
    progress: Progress = SILENT,
) -> xr.Dataset:
    """Train every network of the study and return what was recorded.

    A cell (one width, one block of seeds) is trained, written and marked done before the next. Cells that
    `out` already holds are kept, never trained again; those whose files are damaged are. A network is a
    pure function of (`ensemble.seed`, seed index, width), so an interrupted and resumed run ends with the
    same numbers to the last bit. A network that diverges is recorded as NaN from its first bad recorded step.

    **Arguments:** `out`, the store to write or to go on with, None to keep the records in memory; `points`,
    those of the study if not given; `progress`, told of networks trained.
    **Returns:** records as in the schema, dimensions (width, seed, ...); lazily opened if `out` is given.
    **Errors:** `StoreError` if `out` cannot be used; `InputError` if the data or the disk cannot.
    """
    points = load_points(study) if points is None else points
    path = None if out is None else Path(out)
    layout = Layout(study, points)
    with open_store(path, layout) as store:
        pending = store.pending()
        _announce(layout, store, pending, progress)
        progress.start("training", sum(cell.stop - cell.start for cell in pending))
        for width, cells in groupby(pending, key=lambda cell: cell.width):
            diverged_at = _train_width(compile_program(study, points, width), store, cells, progress)
            _report_divergence(width, diverged_at, progress)
        if path is None:
            return xr.open_zarr(store.group.store, chunks=None).load()
    return open_records(path)


def _announce(layout: Layout, store: RecordStore, pending: list[Cell], progress: Progress) -> None:
    total, left = len(layout.cells()), len(pending)
    if left < total:
        progress.say(f"{total - left} of {total} cells were already trained")
        if left:
            store.note_resumption()


def _train_width(
    program: Program, store: RecordStore, cells: Iterable[Cell], progress: Progress
) -> np.ndarray:
    """Train cells of one width; returns where each of their networks diverged."""
    everywhere = []
    for cell in cells:
        store.begin(cell)
        diverged_at = []
        for start in range(cell.start, cell.stop, store.layout.seeds_at_once()):
            seeds = range(start, min(start + store.layout.seeds_at_once(), cell.stop))
            trajectory = program.run(seeds)
            store.write(cell, start, {name: np.asarray(v) for name, v in trajectory.quantities.items()})
            diverged_at.append(trajectory.diverged_at)
            progress.advance(len(seeds))
        store.finish(cell, np.concatenate(diverged_at))
        everywhere += diverged_at
    return np.concatenate(everywhere)


def _report_divergence(width: int, diverged_at: np.ndarray, progress: Progress) -> None:
    bad = diverged_at[diverged_at >= 0]
    if bad.size:
        progress.say(
            f"width {width}: {bad.size} of {diverged_at.size} networks diverged, first at step {bad.min()}; "
            "lower `training.learning_rate` if that is not what you study"
        )
