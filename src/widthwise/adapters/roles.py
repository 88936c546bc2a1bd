"""What a weight tensor does, seen from how its shape grows with the width."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from widthwise.adapters.found_run import Run


def infer_roles(
    runs: Sequence[Run], widths: Sequence[int], tensors: Sequence[str]
) -> tuple[dict[str, xr.Variable], dict[str, xr.Variable]]:
    """Shapes of tensors at each width, and their roles where these tell them.

    **Returns:** `tensor_shape` (width, tensor, axis), 0 beyond a tensor's last axis and where nothing was
    recorded; and `tensor_role` and `tensor_feeds` (tensor), "" where not known. None of them without recorded
    shapes or words.
    """
    shapes = {width: _of_width(runs, width) for width in widths}
    given = {name: role for run in runs for name, role in run.labels.roles.items()}
    feeds = {name: word for run in runs for name, word in run.labels.feeds.items()}
    rank = max((len(shape) for each in shapes.values() for shape in each.values()), default=0)
    if not tensors or not (rank or given or feeds):
        return {}, {}
    table = np.zeros((len(widths), len(tensors), rank), np.int64)
    for i, width in enumerate(widths):
        for k, tensor in enumerate(tensors):
            shape = shapes[width].get(tensor, ())
            table[i, k, : len(shape)] = shape
    roles = []
    for tensor in tensors:
        seen = [shapes[width][tensor] for width in widths if tensor in shapes[width]]
        roles.append(given.get(tensor) or (role_of(seen[0], seen[-1]) if len(seen) > 1 else ""))
    meaning = {"long_name": "sizes of a weight tensor as (out, in, ...), 0 beyond its last axis"}
    variable = {"tensor_shape": xr.Variable(("width", "tensor", "axis"), table, meaning)} if rank else {}
    meaning = {"long_name": "what a weight tensor does: input, hidden, readout or scalar"}
    found = {"tensor_role": xr.Variable(("tensor",), np.array(roles, dtype=object), meaning)}
    if feeds:
        words = np.array([feeds.get(tensor, "") for tensor in tensors], dtype=object)
        meaning = {"long_name": "what a tensor's output feeds: network, output, attention, gate or tied"}
        found["tensor_feeds"] = xr.Variable(("tensor",), words, meaning)
    return variable, found


def role_of(narrow: Sequence[int], wide: Sequence[int]) -> str:
    """The role of a tensor (out, in, ...) from its shapes at two widths; "" if they do not tell.

    >>> role_of((16, 3), (32, 3)), role_of((16, 16, 3, 3), (32, 32, 3, 3)), role_of((10, 16), (10, 32))
    ('input', 'hidden', 'readout')
    >>> role_of((16,), (32,)), role_of((10,), (10,))
    ('input', 'scalar')
    """
    if len(narrow) != len(wide):
        return ""
    grows = [one != two for one, two in zip(narrow, wide, strict=True)] + [False, False]
    if any(grows[2:]):
        return ""
    return {(True, True): "hidden", (True, False): "input", (False, True): "readout"}.get(
        (grows[0], grows[1]), "scalar"
    )


def _of_width(runs: Sequence[Run], width: int) -> Mapping[str, tuple[int, ...]]:
    return next((run.labels.shapes for run in runs if run.width == width and run.labels.shapes), {})
