"""What a store's small arrays and attributes say of its axes, probes and tensors."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from widthwise.adapters.found_run import Labels
from widthwise.adapters.names import FEEDS, NAMED, ROLES, require_names
from widthwise.errors import StoreError
from widthwise.study.stored import read_json

# What a store may say of tensors: roles and exponents of their scales; sizes of their sides (width, tensor).
LAWS = ("tensor_role", "tensor_weight_exponent", "tensor_update_exponent")
FANS = ("tensor_fan_in", "tensor_fan_out")
# Words of tensors, and the attributes of a run's store that hold them.
TABLES = {"tensor_role": "tensor_roles", "tensor_feeds": "tensor_feeds"}


def read_labels(
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
    if "split" in small and small["split"].shape == (sizes.get("point"),):
        splits = _texts(origin, "split", small["split"])
        if len(set(splits)) == sizes.get("split", len(set(splits))):
            names.pop("split", None)
    return Labels(
        names=names,
        splits=splits,
        targets=_targets(origin, small.get("target"), sizes),
        probes=str(attributes.get("probes_sha256", "")),
        shapes=_json_shapes(origin, attributes),
        roles=_words(origin, "tensor_role", ROLES, attributes, names, small),
        feeds=_words(origin, "tensor_feeds", FEEDS, attributes, names, small),
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


def _words(
    origin: str,
    name: str,
    known: tuple[str, ...],
    attributes: Mapping[str, object],
    names: Mapping[str, tuple[str, ...]],
    small: Mapping[str, np.ndarray],
) -> dict[str, str]:
    """A word of each tensor: from an attribute that is a table, or from an array along `tensor`."""
    tensors, array = names.get("tensor", ()), small.get(name, np.zeros(0)).tolist()
    pairs = list(zip(tensors, array, strict=True)) if len(array) == len(tensors) else []
    table = _table(origin, attributes, TABLES[name])
    return {tensor: str(word) for tensor, word in [*table.items(), *pairs] if str(word) in known}


def _table(origin: str, attributes: Mapping[str, object], name: str) -> dict[str, Any]:
    try:
        found = read_json(str(attributes.get(name, "{}")))
    except ValueError as error:
        raise StoreError(f"{origin}: its attribute `{name}` is no JSON ({error}): record it again") from error
    return found if isinstance(found, dict) else {}
