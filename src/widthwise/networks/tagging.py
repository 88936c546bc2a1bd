"""Any Equinox module as a blueprint: what each tensor's role is, seen from how it grows."""

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from widthwise.networks.tensor_spec import Role, Start, TensorSpec

ROLES = ("input", "hidden", "readout", "scalar")
FIXED = "fixed"


def blueprint_of(
    make: Callable[[int], Any], width: int, base_width: int, tags: Mapping[str, str] | None = None
) -> Any:
    """The blueprint of a user's network; with that of the base width, `rules_of` and `draw` do the rest.

    `make(width)` gives the module. Which axes of a tensor grow is seen from its shapes at the base width and
    at twice that, without computing; then axes are read as Equinox lays them out: (out, in, *window), tables
    of `eqx.nn.Embedding` (entry, out), of one axis gains and biases. A tensor of `make(base_width)` whose
    entries are all the same number starts so at every width; every other one is drawn anew from a normal
    distribution, with the root mean square of its entries at the base width, scaled by the rule of its role.
    The module's own random numbers are not kept.

    **Arguments:** `tags`, role by path (such as ".layers[0].weight") where the inferred one is not wanted,
    or "fixed" for what is no weight and stays as the module has it. A tagged tensor may have its axes in any
    order: what grows is then read by the role, such as (in, out) or positions (entry, out) as "input".
    **Returns:** the module with `TensorSpec`s for floating-point arrays and None for everything else:
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
        if role not in (*ROLES, FIXED):
            raise ValueError(f"`tags[{path!r}]` = {role!r}: expected one of {', '.join(ROLES)}, {FIXED}")
    with jax.ensure_compile_time_eval():  # so that ensembles may be drawn inside a compiled function
        values = _arrays(make(base_width))
    tensors = [
        None
        if tags.get(path) == FIXED
        else _plan(
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
    return array and jnp.issubdtype(leaf.dtype, np.floating)  # pyright: ignore[reportAttributeAccessIssue]


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
    return isinstance(node, eqx.nn.Embedding | eqx.nn.Linear | eqx.nn.Conv | eqx.nn.ConvTranspose)


def _plan(
    path: str, shapes: tuple[tuple[int, ...], ...], known: str, values: Any, role: Role | None
) -> TensorSpec:
    shape, base, twice = shapes
    if not len(shape) == len(base) == len(twice):
        raise ValueError(f"{path}: has {len(base)} axes at the base width and {len(shape)} at this one")
    grows = tuple(a != b for a, b in zip(base, twice, strict=True))
    role = role or _role(path, shape, grows, known)
    fan_in, fan_out = _fans(path, shape, grows, role, known)
    base_fan_in, _ = _fans(path, base, grows, role, known)
    found = np.asarray(values, np.float64)
    if not np.isfinite(found).all():
        raise ValueError(f"{path}: has entries that are not finite at the base width, which set its scale")
    # One number alone, such as the bias of a single output, tells a constant from a draw only if it is 1.
    constant = (found == 1).all() or ((found.size > 1 or not shape) and (found == found.flat[0]).all())
    start: Start = "zero" if not found.any() else "one" if constant else "normal"
    size = found.flat[0] if constant else math.sqrt(np.square(found).mean())
    return TensorSpec(
        shape=shape,
        role=role,
        fan_in=fan_in,
        fan_out=fan_out,
        start=start,
        gain=float(size) * math.sqrt(base_fan_in),
        bias=known == "layer" and path.endswith(".bias"),
    )


def _fans(
    path: str, shape: tuple[int, ...], grows: tuple[bool, ...], role: Role, known: str
) -> tuple[int, int]:
    """Entries that go into a number and numbers that come out: (out, in, *window) unless a tag says other."""
    if len(shape) < 2 or known == "embedding":
        return 1, shape[-1] if shape else 1
    growing, out = [axis for axis, grown in enumerate(grows) if grown], 0
    if not known:
        if len(growing) > 2:
            raise ValueError(f"{path}: more than two axes of its shape {shape} grow with the width")
        if len(growing) == {"input": 1, "hidden": 2}.get(role):
            out = growing[0]
        elif role == "readout" and growing == [0]:
            out = len(shape) - 1
    return math.prod(shape) // shape[out], shape[out]


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
