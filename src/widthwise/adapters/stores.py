"""The runs in a zarr store: checked, named, and not yet read."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from xarray.backends import BackendArray
from xarray.core import indexing

from widthwise.adapters.found_run import Labels, Run, as_slice
from widthwise.adapters.names import (
    EXTRA_VARIABLES,
    LARGEST_NUMBER,
    NAMED,
    recordable,
    require_cell,
    require_quantity,
)
from widthwise.adapters.store_labels import FANS, LAWS, read_labels
from widthwise.errors import InputError, StoreError
from widthwise.records.folder import open_folder
from widthwise.records.read import CHECKSUM, read_attributes
from widthwise.records.schema import RECORD_DIMS, RECORD_VARIABLES, VARIABLES

READ_ERRORS = (
    *(OSError, EOFError, ValueError, KeyError, TypeError, IndexError, AttributeError),
    *(RuntimeError, ArithmeticError, AssertionError),
)
# Beyond these a store's metadata promises more than any records hold, or than can be read a part at a time.
MOST_NETWORKS, MOST_STEPS = 2**16, 2**22
SMALL_BYTES, CHUNK_BYTES, STEP_BYTES = 2**28, 2**30, 2**31
SEEN_BYTES = 2**26  # read at once to see where a network's numbers end


class Stored(BackendArray):
    """One run's part of an array in a store, with the schema's dimensions `dims`; a loss without the last of
    them is one of one split."""

    def __init__(self, array: zarr.Array, cell: tuple[int, int], name: str, dims: tuple[str, ...]):
        self.array, self.cell, self.name = array, cell, name
        self.unsplit = array.ndim - 2 < len(dims)
        self.shape = (*array.shape[2:], 1) if self.unsplit else array.shape[2:]
        self.dtype = np.dtype(np.float32 if array.dtype == np.float32 else np.float64)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self.read)

    def read(self, selection: tuple[np.ndarray | slice, ...]) -> np.ndarray:
        """From the store, one chunk's steps after another's, so that few chunks are in memory at a time; what
        cannot be read is a `StoreError`, never a wrong number."""
        own = selection[: self.array.ndim - 2]
        axis = _dims(self.array).index("step") - 2
        parts = _by_chunk(own[axis], self.array.shape[axis + 2], self.array.chunks[axis + 2])
        try:
            blocks = [
                np.asarray(self.array.oindex[(*self.cell, *own[:axis], part, *own[axis + 1 :])])
                for part in parts
            ]
        except READ_ERRORS as error:
            reason = "a file fails its checksum" if CHECKSUM in str(error) else str(error)
            raise StoreError(f"{self.name} is damaged ({reason}): record it again") from error
        found = (blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis)).astype(self.dtype)
        return found[..., None][..., selection[-1]] if self.unsplit else found


def _by_chunk(chosen: np.ndarray | slice, size: int, chunk: int) -> list[np.ndarray | slice]:
    """Positions along an axis in groups of one chunk each, in order."""
    places = np.arange(size)[chosen]
    if not len(places) or (places // chunk == places[0] // chunk).all():
        return [chosen]
    cuts = np.flatnonzero(np.diff(places // chunk)) + 1
    return [as_slice(part) for part in np.split(places, cuts)]


def runs_of_store(path: str | Path) -> list[Run]:
    """Every (width, seed) of a store, whoever wrote it, but those that belong to no family where others do.

    **Errors:** `StoreError` if it is no store, damaged, of a newer version, or if a variable has not the
    dimensions of the schema or holds no numbers; `InputError` for impossible widths, seeds, steps or names.
    """
    folder = open_folder(path)
    attributes = read_attributes(folder)
    try:
        group = zarr.open_group(folder.zarr(read_only=True), mode="r")
        arrays = {name: each for name in _wanted() if isinstance(each := group.get(name), zarr.Array)}
        for name, array in arrays.items():
            _check_size(folder.name, name, array)
        small = {name: np.asarray(arrays.pop(name)[...]) for name in list(arrays) if recordable(name) is None}
    except StoreError:
        raise
    except READ_ERRORS as error:
        raise StoreError(f"{folder.name} is damaged ({error}): record it again") from error
    for name, array in arrays.items():
        _check_dims(folder.name, name, array)
    if not {"prediction", "loss"} & arrays.keys() or not {"width", "step"} <= small.keys():
        raise StoreError(
            f"{folder.name} is no record store: it needs `prediction` or `loss`, and the coordinates "
            "`width` and `step`"
        )
    sizes = _sizes(folder.name, arrays)
    steps = _whole(folder.name, "step", small["step"], sizes["step"])
    if len(steps) > MOST_STEPS or sizes["width"] * sizes["seed"] > MOST_NETWORKS:
        raise StoreError(
            f"{folder.name} holds {len(steps)} steps of {sizes['width'] * sizes['seed']} networks, more than "
            f"{MOST_STEPS} steps or {MOST_NETWORKS} networks: record fewer"
        )
    if (np.diff(steps) <= 0).any() or not len(steps) or steps[0] < 0:
        raise InputError(
            f"{folder.name}: `step` is {_short(steps)}: give steps from 0 on, ascending, each once"
        )
    widths = _whole(folder.name, "width", small["width"], sizes["width"])
    seeds = _whole(folder.name, "seed", small.get("seed", np.arange(sizes["seed"])), sizes["seed"])
    labels = read_labels(folder.name, small, sizes, attributes)
    flags = _flags(folder.name, small, (sizes["width"], sizes["seed"]))
    return [
        _run(folder.name, (i, k), (int(widths[i]), int(seeds[k])), steps, arrays, (small, flags), labels)
        for i in range(len(widths))
        for k in range(len(seeds))
        if "family" not in flags or flags["family"][i, k] >= 0
    ]


def _run(
    origin: str,
    cell: tuple[int, int],
    number: tuple[int, int],
    steps: np.ndarray,
    arrays: Mapping[str, zarr.Array],
    beside: tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]],
    labels: Labels,
) -> Run:
    small, flags = beside
    try:
        width, seed = require_cell(*number)
    except InputError as error:
        raise InputError(f"{origin}: {error}") from error
    fans = [small.get(f"tensor_fan_{side}") for side in ("out", "in")]
    names = labels.names.get("tensor", ())
    shape = (len(set(small["width"].tolist())), len(names))
    if not labels.shapes and all(fan is not None and fan.shape == shape and _is_size(fan) for fan in fans):
        rows = [fan[cell[0]].astype(int).tolist() for fan in fans if fan is not None]
        labels = replace(labels, shapes=dict(zip(names, zip(*rows, strict=True), strict=True)))
    own: dict[str, xr.Variable] = {}
    for name, array in arrays.items():
        dims = require_quantity(name).dims
        stored = Stored(array, cell, f"{origin}: `{name}`", dims)
        own[name] = xr.Variable(dims, indexing.LazilyIndexedArray(stored))
    done, diverged = (True, -1) if {"done", "diverged_at"} <= flags.keys() else _seen(own, steps)
    done = bool(flags["done"][cell]) if "done" in flags else done
    diverged = int(flags["diverged_at"][cell]) if "diverged_at" in flags else diverged
    family = int(flags["family"][cell]) if "family" in flags else None
    return Run(origin, width, seed, steps, own, labels, done, max(diverged, -1) if done else -1, family)


def _is_size(values: np.ndarray) -> bool:
    return values.dtype.kind in "iuf" and bool(((values >= 0) & (values <= LARGEST_NUMBER)).all())


def _flags(origin: str, small: Mapping[str, np.ndarray], shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """`done`, `diverged_at` and `family`, those that there are."""
    found = {}
    for name in ("done", "diverged_at", "family"):
        if name in small:
            values = small[name]
            if values.dtype.kind not in "biuf" or values.shape != shape or not np.isfinite(values).all():
                raise StoreError(
                    f"{origin}: `{name}` has type {values.dtype} and shape {values.shape}: give whole "
                    f"numbers by (width, seed), {shape}"
                )
            found[name] = values
    return found


def _seen(arrays: Mapping[str, xr.Variable], steps: np.ndarray) -> tuple[bool, int]:
    """Whether anything was recorded, and the first step that is not finite, from the numbers themselves."""
    name = "loss" if "loss" in arrays else "prediction"
    array, recorded, first = arrays[name], False, -1
    together = max(1, SEEN_BYTES * len(steps) // max(1, 8 * math.prod(array.shape)))
    for start in range(0, len(steps), together):
        part = slice(start, min(start + together, len(steps)))
        values = array[part].to_numpy()
        finite = np.isfinite(values)
        bad = np.flatnonzero(~finite.reshape(len(values), math.prod(values.shape[1:])).all(axis=1))
        recorded |= bool(finite.any()) or bool(np.isinf(values).any())
        first = int(steps[start + bad[0]]) if len(bad) and first < 0 else first
    return recorded, first if recorded else -1


def _wanted() -> tuple[str, ...]:
    """Only names that are known are ever looked for, so that a store cannot lead out of itself by a name."""
    one_time = [name for name, each in VARIABLES.items() if "step_b" not in each.dims]
    beside = (
        "width",
        "seed",
        "step",
        "target",
        "done",
        "diverged_at",
        "family",
        *LAWS,
        *FANS,
        *NAMED.values(),
    )
    return (*one_time, *RECORD_VARIABLES, *EXTRA_VARIABLES, *beside)


def _check_size(origin: str, name: str, array: zarr.Array) -> None:
    """Refuse what cannot be read a part at a time, before any of it is read."""
    one, known = array.dtype.itemsize, recordable(name)
    chunk = one * math.prod(array.chunks)
    dims = dict(zip(_dims(array), array.shape, strict=False))
    step = one * math.prod(size for dim, size in dims.items() if dim not in (*RECORD_DIMS, "step"))
    for what, size, most in (
        ("has chunks of", chunk, CHUNK_BYTES),
        (
            "takes for one step of one network" if known else "takes",
            step if known else one * array.size,
            STEP_BYTES if known else SMALL_BYTES,
        ),
    ):
        if size > most:
            raise StoreError(
                f"{origin}: `{name}` {what} {size / 2**30:.3g} GB; at most {most / 2**30:.3g} GB can be "
                "read at once: write it in smaller chunks, or record less"
            )


def _check_dims(origin: str, name: str, array: zarr.Array) -> None:
    found, expected = _dims(array), RECORD_DIMS + require_quantity(name).dims
    allowed = {expected} | ({expected[:-1]} if name == "loss" else set())
    if found not in allowed:
        raise StoreError(
            f"{origin}: `{name}` has dimensions {found}, the schema says {expected}: write it "
            "with those, in that order (`dimension_names` in zarr)"
        )
    if np.dtype(array.dtype).kind not in "fiu":
        raise StoreError(f"{origin}: `{name}` has type {array.dtype}: give real numbers")
    if {"scale_factor", "add_offset"} & set(array.attrs):
        raise StoreError(f"{origin}: `{name}` is packed by scale_factor or add_offset: write plain numbers")


def _dims(array: zarr.Array) -> tuple[str, ...]:
    names = getattr(array.metadata, "dimension_names", None) or ()
    return tuple(str(name) for name in names)


def _sizes(origin: str, arrays: Mapping[str, zarr.Array]) -> dict[str, int]:
    """Length of every dimension, the same in all arrays."""
    sizes: dict[str, int] = {}
    for name, array in arrays.items():
        dims = _dims(array)
        for dim, size in zip(dims, array.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise StoreError(
                    f"{origin}: `{name}` has {size} along `{dim}`, where others have {sizes[dim]}"
                )
    if sizes.get("point_b", sizes.get("point")) != sizes.get("point"):
        raise StoreError(
            f"{origin}: kernels have {sizes.get('point')} points along `point` and {sizes['point_b']} along "
            "`point_b`: write them between the same points"
        )
    return sizes


def _whole(origin: str, name: str, values: np.ndarray, size: int) -> np.ndarray:
    numeric = values.dtype.kind in "iuf" and values.ndim == 1
    whole = numeric and len(values) == size and (np.isfinite(values) & (values == np.rint(values))).all()
    if not whole or (np.abs(values.astype(float)) > LARGEST_NUMBER).any():
        raise InputError(f"{origin}: `{name}` is {_short(values)}: give {size} whole numbers")
    return values.astype(np.int64)


def _short(values: np.ndarray) -> str:
    found: Iterator[str] = (str(each) for each in values.ravel()[:6].tolist())
    return f"[{', '.join(found)}{', ...' if values.size > 6 else ''}]"
