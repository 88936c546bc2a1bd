"""The runs in a zarr store: checked, named, and not yet read."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from widthwise.adapters.names import EXTRA_VARIABLES, NAMED, ROLES, recordable, require_cell, require_names
from widthwise.adapters.run import Labels, Run, RunArray, Selection
from widthwise.errors import InputError, StoreError
from widthwise.records.folder import open_folder
from widthwise.records.read import CHECKSUM, read_attributes
from widthwise.records.schema import RECORD_DIMS, RECORD_VARIABLES, VARIABLES

# What a store may say of tensors: roles and exponents of their scales; sizes of their sides (width, tensor).
LAWS = ("tensor_role", "tensor_weight_exponent", "tensor_update_exponent")
FANS = ("tensor_fan_in", "tensor_fan_out")
READ_ERRORS = (OSError, ValueError, KeyError, TypeError, RuntimeError, IndexError)


@dataclass(frozen=True)
class Stored:
    """One run's part of an array in a store. A loss without `split` (`unsplit`) is one of one split."""

    array: zarr.Array
    cell: tuple[int, int]
    name: str
    unsplit: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Its size."""
        return (*self.array.shape[2:], 1) if self.unsplit else self.array.shape[2:]

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers."""
        return np.dtype(np.float32 if self.array.dtype == np.float32 else np.float64)

    def read(self, selection: Selection) -> np.ndarray:
        """From the store; what cannot be read is a `StoreError`, never a wrong number."""
        try:
            found = np.asarray(self.array.oindex[(*self.cell, *selection[: self.array.ndim - 2])])
        except READ_ERRORS as error:
            reason = "a file fails its checksum" if CHECKSUM in str(error) else str(error)
            raise StoreError(f"{self.name} is damaged ({reason}): record it again") from error
        found = found.astype(self.dtype)
        return found[..., None][..., selection[-1]] if self.unsplit else found


def runs_of_store(path: str | Path) -> list[Run]:
    """Every (width, seed) of a store, whoever wrote it.

    **Errors:** `StoreError` if it is no store, damaged, of a newer version, or if a variable has not the
    dimensions of the schema or holds no numbers; `InputError` for impossible widths, seeds, steps or names.
    """
    folder = open_folder(path)
    attributes = read_attributes(folder)
    try:
        group = zarr.open_group(folder.zarr(read_only=True), mode="r")
        arrays = {name: each for name in _wanted() if isinstance(each := group.get(name), zarr.Array)}
        small = {name: np.asarray(arrays.pop(name)[...]) for name in list(arrays) if recordable(name) is None}
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
    if (np.diff(steps) <= 0).any() or not len(steps) or steps[0] < 0:
        raise InputError(
            f"{folder.name}: `step` is {_short(steps)}: give steps from 0 on, ascending, each once"
        )
    widths = _whole(folder.name, "width", small["width"], sizes["width"])
    seeds = _whole(folder.name, "seed", small.get("seed", np.arange(sizes["seed"])), sizes["seed"])
    labels = _labels(folder.name, small, sizes, attributes)
    return [
        _run(folder.name, (i, k), (int(widths[i]), int(seeds[k])), steps, arrays, small, labels)
        for i in range(len(widths))
        for k in range(len(seeds))
    ]


def _run(
    origin: str,
    cell: tuple[int, int],
    number: tuple[int, int],
    steps: np.ndarray,
    arrays: Mapping[str, zarr.Array],
    small: Mapping[str, np.ndarray],
    labels: Labels,
) -> Run:
    try:
        width, seed = require_cell(*number)
    except InputError as error:
        raise InputError(f"{origin}: {error}") from error
    fans = [small.get(f"tensor_fan_{side}") for side in ("out", "in")]
    names = labels.names.get("tensor", ())
    shape = (len(set(small["width"].tolist())), len(names))
    if not labels.shapes and all(fan is not None and fan.shape == shape for fan in fans):
        rows = [fan[cell[0]].tolist() for fan in fans if fan is not None]
        labels = replace(labels, shapes=dict(zip(names, zip(*rows, strict=True), strict=True)))
    own: dict[str, RunArray] = {
        name: Stored(array, cell, f"{origin}: `{name}`", unsplit=name == "loss" and array.ndim == 3)
        for name, array in arrays.items()
    }
    if "done" in small and "diverged_at" in small:
        done, diverged = bool(small["done"][cell]), int(small["diverged_at"][cell])
    else:
        done, diverged = _seen(own, steps)
        done = bool(small["done"][cell]) if "done" in small else done
    return Run(origin, width, seed, steps, own, labels, done, diverged if done else -1)


def _seen(arrays: Mapping[str, RunArray], steps: np.ndarray) -> tuple[bool, int]:
    """Whether anything was recorded, and the first step that is not finite, from the numbers themselves."""
    name = "loss" if "loss" in arrays else "prediction"
    values = arrays[name].read((slice(None),) * len(arrays[name].shape))
    finite = np.isfinite(values)
    bad = np.flatnonzero(~finite.reshape(len(steps), -1).all(1))
    recorded = bool(finite.any()) or bool(np.isinf(values).any())
    return recorded, int(steps[bad[0]]) if len(bad) and recorded else -1


def _wanted() -> tuple[str, ...]:
    """Only names that are known are ever looked for, so that a store cannot lead out of itself by a name."""
    one_time = [name for name, each in VARIABLES.items() if "step_b" not in each.dims]
    beside = ("width", "seed", "step", "target", "done", "diverged_at", *LAWS, *FANS, *NAMED.values())
    return (*one_time, *RECORD_VARIABLES, *EXTRA_VARIABLES, *beside)


def _check_dims(origin: str, name: str, array: zarr.Array) -> None:
    known = recordable(name)
    assert known is not None
    found, expected = _dims(array), RECORD_DIMS + known.dims
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
    return sizes


def _whole(origin: str, name: str, values: np.ndarray, size: int) -> np.ndarray:
    numeric = values.dtype.kind in "iuf" and values.ndim == 1
    if not numeric or len(values) != size or not (np.isfinite(values) & (values == np.rint(values))).all():
        raise InputError(f"{origin}: `{name}` is {_short(values)}: give {size} whole numbers")
    return values.astype(np.int64)


def _labels(
    origin: str, small: Mapping[str, np.ndarray], sizes: Mapping[str, int], attributes: Mapping[str, object]
) -> Labels:
    """What the small arrays and the attributes say of axes, probes and tensors."""
    names, splits = {}, ()
    for dim, coordinate in NAMED.items():
        if dim not in sizes or coordinate not in small:
            continue
        found = _texts(origin, coordinate, small[coordinate])
        if dim == "split" and len(found) != sizes["split"]:
            continue  # those of the points
        names[dim] = require_names(found, f"{origin}: {dim}")
        if len(found) != sizes[dim]:
            raise StoreError(
                f"{origin}: `{coordinate}` has {len(found)} names for {sizes[dim]} along `{dim}`"
            )
    if "split" in small and len(small["split"]) == sizes.get("point", -1):
        splits = _texts(origin, "split", small["split"])
        if len(set(splits)) == sizes.get("split", len(set(splits))):
            names.pop("split", None)
    return Labels(
        names=names,
        splits=splits,
        targets=_targets(origin, small.get("target"), sizes),
        probes=str(attributes.get("probes_sha256", "")),
        shapes=_json_shapes(origin, attributes),
        roles=_json_roles(origin, attributes) | _roles(names.get("tensor", ()), small),
        exponents={
            name: small[name].astype(np.float64)
            for name in LAWS[1:]
            if name in small
            and small[name].dtype.kind in "fiu"
            and small[name].shape == (sizes.get("tensor"),)
        },
        attributes=attributes,
    )


def _texts(origin: str, name: str, values: np.ndarray) -> tuple[str, ...]:
    if values.ndim != 1:
        raise StoreError(f"{origin}: `{name}` has shape {values.shape}: give one name for each entry")
    return tuple(str(each) for each in values.tolist())


def _targets(origin: str, values: np.ndarray | None, sizes: Mapping[str, int]) -> np.ndarray | None:
    if values is None:
        return None
    expected = tuple(sizes.get(dim, n) for dim, n in zip(("point", "output"), values.shape, strict=False))
    if values.dtype.kind not in "fiu" or values.ndim != 2 or values.shape != expected:
        raise StoreError(f"{origin}: `target` has shape {values.shape}: give numbers (point, output)")
    return values.astype(np.float64)


def _json_shapes(origin: str, attributes: Mapping[str, object]) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(int(size) for size in shape)
        for name, shape in _table(origin, attributes, "tensor_shapes").items()
        if isinstance(shape, list) and all(isinstance(size, int) for size in shape)
    }


def _json_roles(origin: str, attributes: Mapping[str, object]) -> dict[str, str]:
    found = _table(origin, attributes, "tensor_roles")
    return {name: role for name, role in found.items() if role in ROLES}


def _roles(tensors: tuple[str, ...], small: Mapping[str, np.ndarray]) -> dict[str, str]:
    found = small["tensor_role"].tolist() if "tensor_role" in small else []
    if len(found) != len(tensors):
        return {}
    return {name: str(role) for name, role in zip(tensors, found, strict=True) if str(role) in ROLES}


def _table(origin: str, attributes: Mapping[str, object], name: str) -> dict[str, Any]:
    try:
        found = json.loads(str(attributes.get(name, "{}")))
    except ValueError as error:
        raise StoreError(f"{origin}: its attribute `{name}` is no JSON ({error}): record it again") from error
    return found if isinstance(found, dict) else {}


def _short(values: np.ndarray) -> str:
    found: Iterator[str] = (str(each) for each in values.ravel()[:6].tolist())
    return f"[{', '.join(found)}{', ...' if values.size > 6 else ''}]"
