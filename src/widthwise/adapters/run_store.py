"""The zarr store of one run while it grows: steps are held in memory, written in chunks, and resized at the
end."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from widthwise.adapters.names import require_quantity
from widthwise.records.schema import BOOKKEEPING, COORDINATES, RECORD_DIMS, Variable
from widthwise.records.store import compressors, put_array

# Steps share a chunk up to this, so that short runs are few files and one step of a kernel is read alone.
CHUNK_BYTES = 4 * 2**20
LONGEST_CHUNK = 4096


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
        coordinates: Mapping[str, tuple[tuple[str, ...], np.ndarray]],
        attributes: Mapping[str, object],
        bookkeeping: Mapping[str, np.ndarray],
    ) -> None:
        """Write all that is left, and what makes the store readable by itself."""
        self.flush(len(steps))
        for name in self.names:
            self._array(name, len(steps))
        group = self._open()
        beside = [name for name, (dims, _) in coordinates.items() if dims != (name,)]
        every: dict[str, Any] = {**attributes, "coordinates": " ".join(beside)}
        group.attrs.update(every)
        for name, (dims, values) in coordinates.items():
            put_array(self._open(), name, values, Variable(dims, COORDINATES[name].long_name))
        for name, values in bookkeeping.items():
            put_array(self._open(), name, values, BOOKKEEPING[name])
        with warnings.catch_warnings():  # consolidated metadata is an extension of zarr v3
            warnings.simplefilter("ignore")
            zarr.consolidate_metadata(group.store)

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
            variable = require_quantity(name)
            self._arrays[name] = self._open().create_array(
                name,
                shape=full,
                chunks=chunks,
                dtype=self._types[name],
                fill_value=float("nan"),
                compressors=compressors(),
                dimension_names=RECORD_DIMS + variable.dims,
                attributes={"long_name": variable.long_name},
            )
        elif self._arrays[name].shape != full:
            self._arrays[name].resize(full)
        return self._arrays[name]


def _step_axis(name: str) -> int:
    return len(RECORD_DIMS) + require_quantity(name).dims.index("step")
