"""Train an ensemble of finite networks and record it. The experiment half begins here."""

from pathlib import Path

import numpy as np
import xarray as xr

from widthwise.data import Points
from widthwise.progress import SILENT, Progress, said_if_long
from widthwise.records import RecordStore, open_records, open_store
from widthwise.records.folder import Folder, open_folder
from widthwise.records.layout import families
from widthwise.records.read import layout_of_store, read_attributes, stored_study
from widthwise.study import Study
from widthwise.study.study import require_study
from widthwise.training.cell import remove_checkpoints
from widthwise.training.executors.process import run_in_process
from widthwise.training.executors.ray import run_on_ray
from widthwise.training.memory_limits import require_memory_for_records
from widthwise.training.plan import Plan, plan_training
from widthwise.training.program import Compiler


def train_ensemble(
    study: Study,
    out: str | Path | None = None,
    *,
    points: Points | None = None,
    progress: Progress = SILENT,
    compiler: Compiler | None = None,
) -> xr.Dataset:
    """Train every network of the study and return what was recorded.

    A cell (one width, one block of seeds) is trained, written and marked done, by this process or by a
    cluster (`run.executor`). Cells that `out` already holds are kept, never trained again; those whose files
    are damaged are. A store with fewer widths or seeds than the study is extended in place, one with more
    keeps them. A network is a pure function of (`ensemble.seed`, seed index, width), so an interrupted and
    resumed run ends with the same numbers to the last bit, wherever it ran. A network that diverges is
    recorded as NaN from its first bad recorded step.

    **Arguments:** `out`, the store to write or to go on with, a path or a URL that fsspec knows, None to keep
    the records in memory; `points`, those of the study if not given; `progress`, told of networks trained;
    `compiler`, by which several studies that differ in rates or richness alone compile once.
    **Returns:** records of the study's widths and seeds, as in the schema, dimensions (width, seed, ...);
    lazily opened if `out` is given.
    **Errors:** `StoreError` if `out` cannot be used; `InputError` if the data or the disk cannot.
    """
    require_study(study)
    with said_if_long(progress, "reading the data"):
        folder = None if out is None else open_folder(out)
        plan = plan_training(study, points, folder, compiler=compiler)
        _preflight(plan, folder, progress)
    with open_store(out, plan.layout) as store:
        pending = store.pending()
        _announce(store, len(pending), progress)
        remove_checkpoints(store, pending)
        parts = [(plan.units * (cell.stop - cell.start), cell.width) for cell in pending]
        progress.start("training", sum(units for units, _ in parts), parts)
        if pending:
            run = run_on_ray if study.run.executor == "ray" else run_in_process
            run(plan, store, pending, progress)
            remove_checkpoints(store, [])
        if out is None:
            return xr.open_zarr(store.group.store, chunks=None).load()
    records, ensemble = open_records(out), study.ensemble
    stored = store.layout.study.ensemble
    if (stored.widths, stored.seeds) == (ensemble.widths, ensemble.seeds):
        return records
    records = records.sel(width=list(ensemble.widths), seed=np.arange(ensemble.most_networks))
    if ensemble.coupling == "independent":
        return records
    family = families(ensemble)
    done = records["done"] & (family >= 0)
    return records.assign(done=done.assign_attrs(records["done"].attrs)).assign_coords(
        family=records["family"].copy(data=family)
    )


def _preflight(plan: Plan, folder: Folder | None, progress: Progress) -> None:
    """Refuse what does not fit into memory at any width that the store does not have, before anything is
    written, and say what will take long at the widest."""
    study, stored = plan.layout.study, set[int]()
    if folder is not None and folder.exists():
        attributes = read_attributes(folder)
        layout_of_store(folder.name, attributes, plan.layout)
        stored = set(stored_study(folder.name, attributes)["ensemble"]["widths"])
    if not stored:
        require_memory_for_records(plan.layout)
    remarks = [plan.preflight(width) for width in sorted({*study.ensemble.widths} - stored)]
    if remarks and remarks[-1]:
        progress.say(remarks[-1])


def _announce(store: RecordStore, left: int, progress: Progress) -> None:
    """What is there already, and what must be trained again, and why."""
    if store.finished:
        progress.say(f"{store.finished} of {store.total} cells were already trained")
        if left:
            store.note_resumption()
    if more := store.unasked():
        progress.say(f"the store holds {more} networks that this study does not ask for: they are kept")
    for cell, fault in store.damage.items():
        progress.say(f"{cell}: was done, but {fault}; it is trained again")
