"""Any Equinox module as a blueprint: what each tensor's role is, seen from how it grows."""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import equinox as eqx
import jax
import numpy as np

from widthwise.networks.tensor import Role, Start, Tensor

ROLES = ("input", "hidden", "readout", "scalar")


def blueprint_of(
    make: Callable[[int], Any], width: int, base_width: int, tags: Mapping[str, str] | None = None
) -> Any:
    """The blueprint of a user's network; with that of the base width, `rules_of` and `draw` do the rest.

    `make(width)` gives the module. Which axes of a tensor grow is seen from its shapes at the base width and
    at twice that, without computing; then axes are read as Equinox lays them out: (out, in, *window), tables
    of `eqx.nn.Embedding` (entry, out), of one axis gains and biases. A tensor of `make(base_width)` that is
    all zero or all one starts so at every width; every other one is drawn anew from a normal distribution,
    with the root mean square of its entries at the base width, scaled by the rule of its role. The module's
    own random numbers are not kept.

    **Arguments:** `tags`, role by path (such as ".layers[0].weight") where the inferred one is not wanted.
    **Returns:** the module with `Tensor`s for floating-point arrays and None for everything else:
    `eqx.combine(draw(...), make(width))` is a network (`eqx.combine` takes the rest from the module).
    **Errors:** `ValueError` naming the tensor whose role is not clear, or an unknown path or role in `tags`.

    >>> key = jax.random.key(0)
    >>> make = lambda width: eqx.nn.MLP(3, 2, width, depth=2, key=key)
    >>> [layer.weight.role for layer in blueprint_of(make, 64, 16).layers]
    ['input', 'hidden', 'readout']
    """
    tags = tags or {}
    wide, base, twice = (_shapes(make, size) for size in (width, base_width, 2 * base_width))
    if not wide.keys() == base.keys() == twice.keys():
        differing = sorted(
            (wide.keys() | base.keys() | twice.keys()) - (wide.keys() & base.keys() & twice.keys())
        )
        raise ValueError(f"`make` gives other tensors at other widths: {', '.join(differing)}")
    for path, role in tags.items():
        if path not in base:
            raise ValueError(f"`tags` names {path!r}, which is no tensor; there are {', '.join(base)}")
        if role not in ROLES:
            raise ValueError(f"`tags[{path!r}]` = {role!r}: expected one of {', '.join(ROLES)}")
    values = _arrays(make(base_width))
    tensors = [
        _plan(
            path,
            (shape, base[path][0], twice[path][0]),
            known,
            values[path],
            cast(Role | None, tags.get(path)),
        )
        for path, (shape, known) in wide.items()
    ]
    module = eqx.filter(eqx.filter_eval_shape(make, width), _is_weight)
    return jax.tree.unflatten(jax.tree.structure(module), tensors)


def _is_weight(leaf: object) -> bool:
    array = isinstance(leaf, jax.ShapeDtypeStruct | jax.Array | np.ndarray)
    return array and np.issubdtype(leaf.dtype, np.floating)  # pyright: ignore[reportAttributeAccessIssue]


def _arrays(module: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_flatten_with_path(eqx.filter(module, _is_weight))[0]
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _shapes(make: Callable[[int], Any], width: int) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape of every tensor, and whose it is: "embedding", "layer" (out, in, *window), or "" (a user's)."""
    module = eqx.filter_eval_shape(make, width)
    owners = jax.tree_util.tree_flatten_with_path(module, is_leaf=_is_layer)[0]
    kinds = [
        (jax.tree_util.keystr(path), "embedding" if isinstance(owner, eqx.nn.Embedding) else "layer")
        for path, owner in owners
        if _is_layer(owner)
    ]
    return {
        path: (leaf.shape, next((kind for start, kind in kinds if path.startswith(start + ".")), ""))
        for path, leaf in _arrays(module).items()
    }


def _is_layer(node: object) -> bool:
    return isinstance(node, eqx.nn.Embedding | eqx.nn.Linear | eqx.nn.Conv)


def _plan(
    path: str, shapes: tuple[tuple[int, ...], ...], known: str, values: Any, role: Role | None
) -> Tensor:
    shape, base, twice = shapes
    if not len(shape) == len(base) == len(twice):
        raise ValueError(f"{path}: has {len(base)} axes at the base width and {len(shape)} at this one")
    grows = tuple(a != b for a, b in zip(base, twice, strict=True))
    role = role or _role(path, shape, grows, known)
    if len(shape) < 2 or known == "embedding":
        fan_in, fan_out = 1, shape[-1] if shape else 1
        base_fan_in = 1
    else:
        fan_in, fan_out, base_fan_in = math.prod(shape[1:]), shape[0], math.prod(base[1:])
    found = np.asarray(values, np.float64)
    start: Start = "zero" if not found.any() else "one" if (found == 1).all() else "normal"
    gain = math.sqrt(base_fan_in * np.square(found).mean()) if start == "normal" else 1.0
    return Tensor(shape=shape, role=role, fan_in=fan_in, fan_out=fan_out, start=start, gain=gain)


def _role(path: str, shape: tuple[int, ...], grows: tuple[bool, ...], known: str) -> Role:
    if not any(grows):
        return "scalar"
    if len(shape) == 1 or (known == "embedding" and grows == (False, True)):
        return "input"
    if any(grows[2:]) or known == "embedding":
        raise ValueError(
            f"{path}: of its shape {shape} unexpected axes grow with the width; name it in `tags`"
        )
    if grows[:2] == (False, True) and not known:
        raise ValueError(
            f"{path}: its shape {shape} is that of a readout (out, in) or of a table (entry, out) like an "
            "embedding, and it belongs to no layer of Equinox; name it in `tags`"
        )
    if all(grows[:2]):
        return "hidden"
    return "input" if grows[0] else "readout"
