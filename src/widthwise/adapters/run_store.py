"""The zarr store of one run: it grows in memory and by chunks, and comes to its place whole or not at all."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from widthwise.adapters.names import require_quantity
from widthwise.atomic import partial_path
from widthwise.errors import InputError
from widthwise.records.layout import ArrayPlan
from widthwise.records.schema import BOOKKEEPING, COORDINATES, RECORD_DIMS, Variable
from widthwise.records.storage_errors import disk_errors
from widthwise.records.store import consolidate, plan_array, put_array

# Steps share a chunk up to this, so that short runs are few files and one step of a kernel is read alone.
CHUNK_BYTES = 4 * 2**20
LONGEST_CHUNK = 4096
INTERRUPTED = ".interrupted.zarr"


class RunStore:
    """Arrays (width, seed, ..., step, ...) of one width and one seed, below a folder that exists once written
    to."""

    def __init__(self, path: Path):
        self.path = path
        self.names: dict[str, tuple[int, ...]] = {}
        self.held_bytes = 0
        self._held: dict[str, dict[int, np.ndarray]] = {}
        self._types: dict[str, np.dtype] = {}
        self._arrays: dict[str, zarr.Array] = {}
        self._group: zarr.Group | None = None

    def hold(self, index: int, quantities: Mapping[str, np.ndarray]) -> None:
        """Keep the quantities of the step of this index until they are written."""
        for name, values in quantities.items():
            self.names.setdefault(name, values.shape)
            self._types.setdefault(name, values.dtype)
            self._held.setdefault(name, {})[index] = values
            self.held_bytes += values.nbytes

    def flush(self, steps: int) -> None:
        """Write what is held; there are `steps` of them by now."""
        for name, held in self._held.items():
            array, axis = self._array(name, steps), _step_axis(name)
            first, last = min(held), max(held)
            block = np.full((last - first + 1, *self.names[name]), np.nan, self._types[name])
            for index, values in held.items():
                block[index - first] = values
            key = (0, 0, *(slice(None),) * (axis - 2), slice(first, last + 1))
            array[key] = np.moveaxis(block, 0, axis - 2)
        self._held, self.held_bytes = {}, 0

    def finish(
        self,
        steps: Sequence[int],
        coordinates: Mapping[str, tuple[str, np.ndarray]],
        attributes: Mapping[str, object],
        bookkeeping: Mapping[str, np.ndarray],
    ) -> None:
        """Write all that is left, and what makes the store readable by itself."""
        self.flush(len(steps))
        for name in self.names:
            self._array(name, len(steps))
        group = self._open()
        beside = [name for name, (dim, _) in coordinates.items() if dim != name]
        every: dict[str, Any] = {**attributes, "coordinates": " ".join(beside)}
        group.attrs.update(every)
        for name, (dim, values) in coordinates.items():
            put_array(group, name, values, Variable((dim,), COORDINATES[name].long_name))
        for name, values in bookkeeping.items():
            put_array(group, name, values, (BOOKKEEPING | COORDINATES)[name])
        consolidate(group)

    def _open(self) -> zarr.Group:
        if self._group is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._group = zarr.create_group(self.path, zarr_format=3)
        return self._group

    def _array(self, name: str, steps: int) -> zarr.Array:
        """The array of a quantity, long enough; what was never written is NaN."""
        axis, shape = _step_axis(name), self.names[name]
        full = (1, 1, *shape[: axis - 2], steps, *shape[axis - 2 :])
        if name not in self._arrays:
            step_bytes = max(1, int(np.prod(shape)) * self._types[name].itemsize)
            along = max(1, min(LONGEST_CHUNK, CHUNK_BYTES // step_bytes))
            chunks = tuple(min(along, max(steps, 64)) if i == axis else max(1, n) for i, n in enumerate(full))
            known = require_quantity(name)
            dims, dtype = RECORD_DIMS + known.dims, str(self._types[name])
            plan = ArrayPlan(known, dims, full, chunks, dtype, float("nan"))
            self._arrays[name] = plan_array(self._open(), name, plan)
        elif self._arrays[name].shape != full:
            self._arrays[name].resize(full)
        return self._arrays[name]


def _step_axis(name: str) -> int:
    return len(RECORD_DIMS) + require_quantity(name).dims.index("step")


def run_path(out: Path, width: int, seed: int) -> Path:
    """The store of one run, a folder of its own below `out`, so that runs at the same time never meet."""
    return out / f"width={width}" / f"seed={seed}.zarr"


def folder_of(out: object) -> Path:
    """The folder that a user names.

    **Errors:** `InputError` for what is no path on a disk.
    """
    usable = isinstance(out, str | Path) and str(out) and "\0" not in str(out) and "://" not in str(out)
    if not usable:
        raise InputError(f"`out` is {out!r}: give the path of a folder")
    return Path(out)  # pyright: ignore[reportArgumentType]


def check_place(out: Path) -> None:
    """Refuse what runs cannot be put below: a file, or a store."""
    with disk_errors(out, "nothing is recorded yet"):
        out.exists()  # which says what is wrong with a name
    if out.exists() and not out.is_dir():
        raise InputError(f"`out` is {out}, which is a file: give a folder")
    if (out / "zarr.json").exists():
        raise InputError(f"`out` is {out}, which is itself a store: give a folder, runs are put below it")


def publish(partial: Path, target: Path, *, complete: bool) -> Path:
    """Put a written store in its place.

    What was there is replaced by a complete run, and by an interrupted one if it was interrupted too; beside
    a complete one an interrupted run is put under another name, which readers pass by.

    **Returns:** where it is now.
    """
    if not complete and _is_complete(target):
        target = target.with_name(target.name.removesuffix(".zarr") + INTERRUPTED)
    old = partial_path(target)
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return target


def _is_complete(store: Path) -> bool:
    """A store that cannot be read is none that would be missed."""
    try:
        done = zarr.open_group(store, mode="r")["done"]
        return isinstance(done, zarr.Array) and bool(done[0, 0])
    except (OSError, ValueError, LookupError, TypeError, RuntimeError):
        return False
