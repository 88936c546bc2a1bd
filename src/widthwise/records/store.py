"""The only writer of run data: a zarr store that survives being killed at any moment.

Every file is written under a temporary name and renamed, the store itself included; a cell's files belong
to no other cell; `done` is written after everything else of its cell. So whatever happens, a cell is either
done and complete, or will be trained again.
"""

import json
import shutil
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import filelock
import numpy as np
import zarr
from zarr.codecs import BloscCodec, Crc32cCodec
from zarr.storage import MemoryStore

from widthwise.errors import StoreError
from widthwise.records.errors import disk_errors
from widthwise.records.evidence import evidence
from widthwise.records.layout import ArrayPlan, Cell, Layout, coordinate_dims
from widthwise.records.read import check_same_training, read_attributes
from widthwise.records.schema import BOOKKEEPING, COORDINATES, SCHEMA_VERSION

TEMPORARY = ".partial"


class RecordStore:
    """An open store; obtain one from `open_store`, which holds the lock and knows what is to be done."""

    def __init__(self, group: zarr.Group, layout: Layout, path: Path | None):
        self.group, self.layout, self.path = group, layout, path
        self._arrays = {name: _writable(group, name) for name in layout.arrays()}
        self._finished = 0

    def pending(self) -> list[Cell]:
        """Cells to train: those not done, and those done whose files are lost or damaged."""
        cells = [cell for cell in self.layout.cells() if not self._is_intact(cell)]
        self._finished = len(self.layout.cells()) - len(cells)
        return cells

    def begin(self, cell: Cell) -> None:
        """Take back what was recorded of a cell, its `done` first."""
        with self._disk_errors():
            for name in reversed(self.layout.arrays()):
                for file in self._files(name, cell):
                    file.unlink(missing_ok=True)

    def write(self, cell: Cell, start: int, quantities: Mapping[str, np.ndarray]) -> None:
        """Record the networks from seed `start` on: each array (seed, ...), as many as `seeds_at_once`,
        fewer only at the end of the ensemble."""
        with self._disk_errors():
            for name, values in quantities.items():
                self._arrays[name][cell.width_index, start : start + len(values)] = values

    def finish(self, cell: Cell, diverged_at: np.ndarray) -> None:
        """Record where the cell's networks diverged, and then that the cell is done."""
        seeds = slice(cell.start, cell.stop)
        with self._disk_errors():
            self._arrays["diverged_at"][cell.width_index, seeds] = diverged_at
            self._arrays["done"][cell.width_index, seeds] = np.ones(cell.stop - cell.start, bool)
        self._finished += 1

    def note_resumption(self) -> None:
        """Add the present evidence to the attribute `resumed`, since versions may have changed."""
        if self.path is None:
            return
        with self._disk_errors():
            # Opened anew, with the consolidated metadata, because they are written back with the attributes.
            attributes = zarr.open_group(self.path, mode="r+").attrs
            resumed = json.loads(str(attributes.get("resumed", "[]")))
            attributes["resumed"] = json.dumps([*resumed, evidence()])

    def _is_intact(self, cell: Cell) -> bool:
        """Every chunk exists and passes its checksum; a lost chunk would otherwise read as NaN."""
        if any(not file.is_file() for name in self.layout.arrays() for file in self._files(name, cell)):
            return False
        try:
            seeds = slice(cell.start, cell.stop)
            if not np.all(self._arrays["done"][cell.width_index, seeds]):
                return False
            for name in self.layout.arrays():
                for seed in range(cell.start, cell.stop, self.layout.seeds_at_once()):
                    self._arrays[name][cell.width_index, seed : seed + self.layout.seeds_at_once()]
        except (OSError, ValueError, RuntimeError):
            return False
        return True

    def _files(self, name: str, cell: Cell) -> list[Path]:
        """Paths of a cell's chunks of one array."""
        if self.path is None:
            return []
        plan = self.layout.arrays()[name]
        blocks = [range(-(-size // chunk)) for size, chunk in zip(plan.shape, plan.chunks, strict=True)]
        blocks[0] = range(cell.width_index, cell.width_index + 1)
        blocks[1] = range(cell.start // plan.chunks[1], -(-cell.stop // plan.chunks[1]))
        indices = np.stack(np.meshgrid(*blocks, indexing="ij"), axis=-1).reshape(-1, len(blocks))
        encode = self._arrays[name].metadata.encode_chunk_key
        return [self.path / name / encode(tuple(int(i) for i in index)) for index in indices]

    def _disk_errors(self):
        done = f"{self._finished} of {len(self.layout.cells())} cells are done and safe"
        return disk_errors(self.path or Path("memory"), done)


@contextmanager
def open_store(path: Path | None, layout: Layout) -> Iterator[RecordStore]:
    """The store at `path`, made if there is none, locked against other processes while it is open.

    **Arguments:** `path`, or None for a store in memory.
    **Errors:** `StoreError` if another process writes it, if it belongs to another study or a newer
    version of widthwise, if it is damaged or no store at all; nothing is changed then.
    `InputError` if the disk is full or may not be written.
    """
    if path is None:
        group = zarr.create_group(MemoryStore(), zarr_format=3)
        _fill(group, layout)
        yield RecordStore(group, layout, None)
        return
    if path.exists():
        check_same_training(path, read_attributes(path), layout)
    with disk_errors(path, "nothing is trained yet"):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_name(f".{path.name}.lock"), timeout=0)
    with _locked(lock, path):
        _sweep(path)
        if not path.exists():
            _create(path, layout)
        check_same_training(path, read_attributes(path), layout)
        yield RecordStore(_open_group(path, layout), layout, path)


@contextmanager
def _locked(lock: filelock.BaseFileLock, path: Path) -> Iterator[None]:
    """The operating system drops the lock when the process dies, however it dies."""
    with disk_errors(path, "nothing is trained yet"):
        try:
            lock.acquire()
        except filelock.Timeout:  # itself an OSError, but not one of the disk's
            raise StoreError(
                f"{path} is being written by another process: wait for it, or write elsewhere with --out"
            ) from None
    try:
        yield
    finally:
        lock.release()


def _create(path: Path, layout: Layout) -> None:
    """A complete, empty store, visible under its name only when complete."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}{TEMPORARY}")
    try:
        with disk_errors(path, "nothing is trained yet"):
            group = zarr.create_group(temporary, zarr_format=3)
            _fill(group, layout)
            temporary.rename(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _fill(group: zarr.Group, layout: Layout) -> None:
    """Attributes, coordinates and empty arrays."""
    group.attrs.update(
        {
            "schema_version": SCHEMA_VERSION,
            "study": json.dumps(layout.study.tables()),
            "training_hash": layout.training_hash(),
            "evidence": json.dumps(evidence()),
            "coordinates": "split",
        }
    )
    for name, values in layout.coordinates().items():
        _put(group, name, values, (coordinate_dims(name), COORDINATES[name].long_name))
    target = BOOKKEEPING["target"]
    _put(group, "target", np.asarray(layout.points.targets, np.float64), (target.dims, target.long_name))
    for name, plan in layout.arrays().items():
        _plan(group, name, plan)
    with warnings.catch_warnings():  # consolidated metadata is an extension of zarr v3, which xarray reads
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(group.store)


def _put(group: zarr.Group, name: str, values: np.ndarray, meaning: tuple[tuple[str, ...], str]) -> None:
    dims, long_name = meaning
    array = group.create_array(
        name,
        shape=values.shape,
        chunks=tuple(max(1, size) for size in values.shape),
        dtype="string" if values.dtype == object else values.dtype,
        compressors=[Crc32cCodec()],
        dimension_names=dims,
        attributes={"long_name": long_name},
        config={"write_empty_chunks": True},
    )
    array[...] = values


def _plan(group: zarr.Group, name: str, plan: ArrayPlan) -> None:
    group.create_array(
        name,
        shape=plan.shape,
        chunks=plan.chunks,
        dtype=plan.dtype,
        fill_value=plan.fill,
        # A third smaller at 250 MB/s; the checksum comes last, so that it guards what is on the disk.
        compressors=[BloscCodec(cname="zstd", clevel=5, shuffle="shuffle"), Crc32cCodec()],
        dimension_names=plan.dims,
        attributes={"long_name": plan.variable.long_name},
    )


def _open_group(path: Path, layout: Layout) -> zarr.Group:
    """The group for writing, after comparing every array's metadata with the plan."""
    try:
        group = zarr.open_group(path, mode="r+", use_consolidated=False)
        for name, plan in layout.arrays().items():
            array = group[name]
            assert isinstance(array, zarr.Array)
            found = (array.shape, array.chunks, str(array.dtype))
            if found != (plan.shape, plan.chunks, plan.dtype):
                raise ValueError(f"`{name}` has shape, chunks and type {found}")
    except (OSError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise StoreError(
            f"{path} is damaged ({error}): move it away or delete it, and give the same command again"
        ) from error
    return group


def _writable(group: zarr.Group, name: str) -> zarr.Array:
    """The array, set to write chunks that hold only the fill value too: a missing file means not done."""
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array.with_config({"write_empty_chunks": True})


def _sweep(path: Path) -> None:
    """Remove temporary files that killed processes left; the lock says that none is alive."""
    for abandoned in path.parent.glob(f"{path.name}.*{TEMPORARY}"):
        shutil.rmtree(abandoned, ignore_errors=True)
    for abandoned in path.rglob(f"*{TEMPORARY}"):
        abandoned.unlink(missing_ok=True)
