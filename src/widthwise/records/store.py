"""The only writer of run data: a zarr store that survives being killed at any moment.

Every file is written under a temporary name and renamed, the store itself included; a cell's files belong
to no other cell; `done` is written after everything else of its cell. So whatever happens, a cell is either
done and complete, or will be trained again.
"""

import json
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import filelock
import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import MemoryStore

from widthwise.errors import StoreError
from widthwise.records.evidence import evidence
from widthwise.records.folder import Folder, LocalFolder, open_folder
from widthwise.records.layout import TOTALS, ArrayPlan, Cell, Layout
from widthwise.records.parameters import kept_steps, parameters_folder
from widthwise.records.read import CHECKSUM, layout_of_store, read_attributes, stored_study
from widthwise.records.schema import BOOKKEEPING, COORDINATES, RECORD_DIMS, SCHEMA_VERSION, Variable
from widthwise.records.storage_errors import disk_errors
from widthwise.study import EnsembleSettings
from widthwise.study.stored import read_json


class RecordStore:
    """An open store; obtain one from `open_store`, which holds the lock and knows what is to be done, or, for
    one of several workers that each train cells of their own, from `join_store`."""

    def __init__(
        self, group: zarr.Group, layout: Layout, folder: Folder | None, asked: EnsembleSettings | None = None
    ):
        self.group, self.layout, self.folder = group, layout, folder
        self._arrays = {name: _writable(group, name) for name in layout.arrays()}
        self._asked = asked or layout.study.ensemble
        self.finished, self.total = 0, len(layout.cells(asked))
        self.damage: dict[Cell, str] = {}

    def pending(self) -> list[Cell]:
        """Cells to train, of those asked for: networks that are not done, and cells whose files are lost or
        damaged, with all networks that share those.

        What is wrong with the latter is in `damage` then, how many cells there are in `total`, and how many
        of them are done in `finished`.
        """
        cells, self.finished, self.damage = [], 0, {}
        for cell in self.layout.cells(self._asked):
            done, fault = self._done(cell)
            if done and not fault:
                fault = self._fault_of(replace(cell, stop=cell.start + done))
            if fault:
                done, cell = 0, self.layout.whole(cell)
                self.damage[cell] = fault
            if cell.start + done < cell.stop:
                cells.append(replace(cell, start=cell.start + done))
            self.finished += done > 0
        self.total = self.finished + len(cells)
        return cells

    def unasked(self) -> int:
        """How many networks the store has a place for that were not asked for."""
        stored = self.layout.study.ensemble
        there, asked = (sum(e.networks(width) for width in e.widths) for e in (stored, self._asked))
        return there - asked

    def begin(self, cell: Cell, kept: Collection[int] = ()) -> None:
        """Take back what was recorded of a cell, its `done` first, but for the blocks of networks that start
        at the seeds in `kept`; files that it shares with networks before it stay, and are written over."""
        if self.folder is None:
            return
        with self._disk_errors():
            for name in reversed(self.layout.arrays()):
                whole = name in BOOKKEEPING
                along = self.layout.arrays()[name].chunks[1]
                for seeds in [range(cell.start, cell.stop)] if whole else self.layout.blocks(cell):
                    if seeds.start % along == 0 and (whole or seeds.start not in kept):
                        for file in self.files(name, cell.width_index, seeds):
                            self.folder.remove(file)

    def holds(self, cell: Cell, seeds: range) -> bool:
        """Whether all that was recorded of a block of networks is there and passes its checksums."""
        return not self._fault(self.layout.quantities(), cell.width_index, seeds)

    def write(self, cell: Cell, start: int, quantities: Mapping[str, np.ndarray]) -> None:
        """Record the networks of one of `Layout.blocks`, from seed `start` on: each array (seed, ...)."""
        with self._disk_errors():
            for name, values in quantities.items():
                self._arrays[name][cell.width_index, start : start + len(values)] = values

    def finish(self, cell: Cell, diverged_at: np.ndarray) -> None:
        """Record where the cell's networks diverged, and then that the cell is done."""
        seeds = slice(cell.start, cell.stop)
        with self._disk_errors():
            self._arrays["diverged_at"][cell.width_index, seeds] = diverged_at
            self._arrays["done"][cell.width_index, seeds] = np.ones(cell.stop - cell.start, bool)
        self.finished += 1

    def note_resumption(self) -> None:
        """Add the present evidence to the attribute `resumed`, since versions may have changed."""
        if self.folder is None:
            return
        with self._disk_errors():
            # Opened anew, with the consolidated metadata, because they are written back with the attributes.
            attributes = zarr.open_group(self.folder.zarr(read_only=False), mode="r+").attrs
            resumed = read_json(str(attributes.get("resumed", "[]")))
            attributes["resumed"] = json.dumps([*resumed, evidence()])

    def files(self, name: str, width_index: int, seeds: range) -> list[str]:
        """Names in the folder of the chunks in which one array keeps these networks."""
        plan = self.layout.arrays()[name]
        blocks = [range(-(-size // chunk)) for size, chunk in zip(plan.shape, plan.chunks, strict=True)]
        blocks[0] = range(width_index, width_index + 1)
        blocks[1] = range(seeds.start // plan.chunks[1], -(-seeds.stop // plan.chunks[1]))
        indices = np.stack(np.meshgrid(*blocks, indexing="ij"), axis=-1).reshape(-1, len(blocks))
        encode = self._arrays[name].metadata.encode_chunk_key
        return [f"{name}/{encode(tuple(int(i) for i in index))}" for index in indices]

    def _done(self, cell: Cell) -> tuple[int, str]:
        """How many networks of a cell are done, the first ones, and what is wrong with the marks, if
        anything."""
        try:
            done = np.asarray(self._arrays["done"][cell.width_index, cell.start : cell.stop])
        except (OSError, ValueError, RuntimeError) as error:
            return 0, f"`done` {_reason(error)}"
        return int(np.cumprod(done).sum()), ""

    def _fault_of(self, cell: Cell) -> str:
        """What is wrong with the files of networks that are done, if anything."""
        seeds = range(cell.start, cell.stop)
        if fault := self._fault(self.layout.arrays(), cell.width_index, seeds):
            return fault
        kept, steps = self.layout.study.record.parameters, self.layout.study.recorded_steps()
        if kept == "none" or self.folder is None:
            return ""
        diverged_at = np.asarray(self._arrays["diverged_at"][cell.width_index, cell.start : cell.stop])
        for seed, bad in zip(seeds, diverged_at.tolist(), strict=True):
            wanted = set((steps if kept == "recorded" else steps[-1:]).tolist())
            wanted = {step for step in wanted if bad < 0 or step < bad}
            if lost := wanted - set(kept_steps(parameters_folder(self.folder), cell.width, seed)):
                return f"weights of seed {seed} at step {min(lost)} are not there"
        return ""

    def _fault(self, names: Iterable[str], width_index: int, seeds: range) -> str:
        """What is wrong with the files of these networks, if anything; a lost chunk would read as NaN."""
        for name in names:
            if self.folder is not None:
                for file in self.files(name, width_index, seeds):
                    if not self.folder.has(file):
                        return f"`{name}` lost a file ({file})"
            try:
                for part in self.layout.blocks(Cell(width_index, 0, seeds.start, seeds.stop)):
                    self._arrays[name][width_index, part.start : part.stop]
            except (OSError, ValueError, RuntimeError) as error:
                return f"`{name}` {_reason(error)}"
        return ""

    def _disk_errors(self):
        done = f"{self.finished} of {self.total} cells are done and safe"
        return disk_errors(self.folder.name if self.folder else "memory", done)


def _reason(error: Exception) -> str:
    return "fails its checksum" if CHECKSUM in str(error) else f"cannot be read ({error})"


@contextmanager
def open_store(path: str | Path | None, layout: Layout) -> Iterator[RecordStore]:
    """The store at `path`, made if there is none, locked against other processes while it is open.

    A store with fewer widths or seeds than the layout is extended; what it has more stays. Its own layout is
    that of the store that is returned.

    **Arguments:** `path`, or a URL that fsspec knows, where there are no locks: let one process at a time
    write there; None for a store in memory.
    **Errors:** `StoreError` if another process writes it, if it belongs to another study or a newer
    version of widthwise, if it is damaged or no store at all; nothing is changed then.
    `InputError` if the disk is full or may not be written.
    """
    if path is None:
        group = zarr.create_group(MemoryStore(), zarr_format=3)
        _fill(group, layout)
        yield RecordStore(group, layout, None)
        return
    folder = open_folder(path)
    if folder.exists():
        layout_of_store(folder.name, read_attributes(folder), layout)
    with _locked(folder):
        if isinstance(folder, LocalFolder):
            folder.sweep()
        if not folder.exists():
            _create(folder, layout)
        else:
            _extend(folder, layout)
        yield join_store(folder, layout)


def join_store(folder: Folder, layout: Layout) -> RecordStore:
    """The existing store of a process that holds its lock, for cells that nobody else trains.

    **Errors:** those of `open_store`.
    """
    whole = layout_of_store(folder.name, read_attributes(folder), layout)
    return RecordStore(_open_group(folder, whole), whole, folder, layout.study.ensemble)


@contextmanager
def _locked(folder: Folder) -> Iterator[None]:
    """The operating system drops the lock when the process dies, however it dies."""
    if (lock_path := folder.beside(".", ".lock").local) is None:
        yield
        return
    with disk_errors(str(lock_path), "nothing was changed"):
        lock_path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(lock_path, timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:  # itself an OSError, but not one of the disk's
            raise StoreError(
                f"{folder.name} is being written by another process: wait for it, or write elsewhere with "
                "--out"
            ) from None
    try:
        yield
    finally:
        lock.release()


def _create(folder: Folder, layout: Layout) -> None:
    """A complete, empty store, visible under its name only when complete."""
    with disk_errors(folder.name, "nothing is trained yet"), folder.creation("zarr.json") as temporary:
        _fill(zarr.create_group(temporary, zarr_format=3), layout)


def _extend(folder: Folder, layout: Layout) -> None:
    """Make room in a store for the networks of the layout that it has no place for.

    Files of networks stay as they are. Every other one is replaced whole, last `zarr.json`, with which
    readers begin: whoever comes in between, or after a process was killed, finds the store as it was.
    """
    attributes = read_attributes(folder)
    whole, stored = layout_of_store(folder.name, attributes, layout), stored_study(folder.name, attributes)
    values = {name: each for name, each in whole.coordinates().items() if name in (*RECORD_DIMS, "family")}
    shapes = {name: plan.shape for name, plan in whole.arrays().items()}
    shapes |= {name: each.shape for name, each in values.items()}
    totals = {name: whole.study.tables()["ensemble"][name] for _, name in TOTALS}
    found = _open_group(folder, whole, grown=False)
    as_asked = all(getattr(found[name], "shape", None) == shape for name, shape in shapes.items())
    if as_asked and json.dumps(totals) == json.dumps({name: stored["ensemble"][name] for _, name in TOTALS}):
        return
    with disk_errors(folder.name, "all that was trained is safe"):
        for name, shape in shapes.items():
            own = read_json(folder.read(f"{name}/zarr.json"))
            folder.write(f"{name}/zarr.json", json.dumps(own | {"shape": shape}).encode())
        group = zarr.open_group(folder.zarr(read_only=False), mode="r+", use_consolidated=False)
        for name, each in values.items():
            _writable(group, name)[...] = each
        root = read_json(folder.read("zarr.json"))
        study = json.dumps(stored | {"ensemble": stored["ensemble"] | totals})
        root["attributes"] |= {"study": study, "training_hash": whole.training_hash()}
        for name, own in (root.get("consolidated_metadata") or {"metadata": {}})["metadata"].items():
            own["shape"] = shapes.get(name, own["shape"])
        folder.write("zarr.json", json.dumps(root).encode())


def _fill(group: zarr.Group, layout: Layout) -> None:
    """Attributes, coordinates and empty arrays."""
    coordinates = layout.coordinates()
    group.attrs.update(
        {
            "schema_version": SCHEMA_VERSION,
            "study": json.dumps(layout.study.tables()),
            "training_hash": layout.training_hash(),
            "evidence": json.dumps(evidence()),
            # Those that are not dimensions, which xarray would take for data.
            "coordinates": " ".join(name for name in coordinates if COORDINATES[name].dims != (name,)),
        }
    )
    for name, values in coordinates.items():
        put_array(group, name, values, COORDINATES[name])
    put_array(group, "target", np.asarray(layout.points.targets, np.float64), BOOKKEEPING["target"])
    for name, plan in layout.arrays().items():
        plan_array(group, name, plan)
    consolidate(group)


def consolidate(group: zarr.Group) -> None:
    """Repeat the metadata of all arrays in those of the group, an extension of zarr v3 that xarray reads."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(group.store)


def put_array(group: zarr.Group, name: str, values: np.ndarray, meaning: Variable) -> None:
    """Write a whole array as one chunk with a checksum, such as a coordinate."""
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=tuple(max(1, size) for size in values.shape),
        dtype="string" if values.dtype == object else values.dtype,
        compressors=[Crc32cCodec()],
        dimension_names=meaning.dims,
        attributes={"long_name": meaning.long_name},
        config={"write_empty_chunks": True},
    )
    array[...] = values


def plan_array(group: zarr.Group, name: str, plan: ArrayPlan) -> zarr.Array:
    """An array without entries yet, packed a third smaller at 250 MB/s; the checksum comes last, so that it
    guards what is on the disk."""
    return group.create_array(
        name,
        shape=plan.shape,
        chunks=plan.chunks,
        dtype=plan.dtype,
        fill_value=plan.fill,
        compressors=[BloscCodec(cname="zstd", clevel=5, shuffle="shuffle"), Crc32cCodec()],
        dimension_names=plan.dims,
        attributes={"long_name": plan.variable.long_name},
    )


def _open_group(folder: Folder, layout: Layout, *, grown: bool = True) -> zarr.Group:
    """The group for writing, after comparing every array's metadata with the plan; but for the numbers of
    widths and seeds, where the store is not `grown` to the plan yet."""
    begin = 0 if grown else len(RECORD_DIMS)
    try:
        group = zarr.open_group(folder.zarr(read_only=False), mode="r+", use_consolidated=False)
        for name, plan in layout.arrays().items():
            array = group[name]
            assert isinstance(array, zarr.Array)
            if (array.shape[begin:], array.chunks, str(array.dtype)) != (plan.shape[begin:], *plan[3:5]):
                raise ValueError(
                    f"`{name}` has shape, chunks and type {array.shape, array.chunks, array.dtype}"
                )
    except (OSError, ValueError, KeyError, TypeError, AssertionError, RuntimeError) as error:
        fault = f"`{error.args[0]}` is not there" if isinstance(error, KeyError) else error
        raise StoreError(
            f"{folder.name} is damaged ({fault}): move it away or delete it, and give the same command again"
        ) from error
    return group


def _writable(group: zarr.Group, name: str) -> zarr.Array:
    """The array, set to write chunks that hold only the fill value too: a missing file means not done."""
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array.with_config({"write_empty_chunks": True})
