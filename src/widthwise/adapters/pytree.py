"""Recording from JAX, Flax, Equinox or Haiku: weights are any tree of arrays."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from widthwise.adapters.writer import RecordWriter
from widthwise.errors import InputError


def tree_rms(tree: Any) -> dict[str, float]:
    r"""Root mean square $\sqrt{\langle w^2 \rangle}$ of each array of a tree, by its path; an empty one is 0.

    >>> tree_rms({"dense": {"kernel": np.array([[3.0, 4.0]]), "bias": np.zeros(2)}})
    {'dense.bias': 0.0, 'dense.kernel': 3.5355...}
    """
    return {name: _rms(array) for name, array in _arrays(tree).items()}


def tree_shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    """Shape of each array of a tree, by its path, as it is."""
    return {name: array.shape for name, array in _arrays(tree).items()}


def jax_recorder(
    out: str | Path,
    *,
    width: int,
    seed: int,
    weights: Any = None,
    in_out: bool = True,
    **settings: Any,
) -> "TreeRecorder":
    """A recorder of one run whose weights, gradients and updates are trees of arrays.

    **Arguments:** `weights`, the tree at initialization, for the tensors' shapes; `in_out`, whether matrices
    are (*window, in, out), as in Flax and Haiku, rather than (out, in, *window), as in Equinox; `settings`,
    further ones of `RecordWriter`. Tables of embeddings (entry, out) and what else does not follow this need
    `tensor_roles`.
    """
    shapes = {} if weights is None else tree_shapes(weights)
    if in_out:
        shapes = {name: (*shape[:-3:-1], *shape[:-2]) for name, shape in shapes.items()}
    return TreeRecorder(RecordWriter(out, width=width, seed=seed, tensor_shapes=shapes, **settings))


class TreeRecorder:
    """A `RecordWriter` (its field `writer`) that takes trees of weights; make one by `jax_recorder`."""

    def __init__(self, writer: RecordWriter):
        self.writer = writer

    def record(
        self,
        step: int,
        *,
        weights: Any = None,
        gradients: Any = None,
        updates: Any = None,
        **quantities: object,
    ) -> None:
        """What was measured at one step, see `RecordWriter.record`.

        **Arguments:** `weights`, before the step's update; `gradients`, of its batch; `updates`, what it
        adds: of these trees `weight_rms`, `gradient_rms` and `update_rms` are recorded, by the path of each
        array.
        """
        trees = {"weight_rms": weights, "gradient_rms": gradients, "update_rms": updates}
        scales = {name: tree_rms(tree) for name, tree in trees.items() if tree is not None}
        twice = sorted(scales.keys() & quantities.keys())
        if twice:
            raise InputError(f"`{twice[0]}` is given both as numbers and as a tree: give one of them")
        self.writer.record(step, **scales, **quantities)

    def close(self, *, complete: bool = True) -> None:
        """Put the store in its place, see `RecordWriter.close`."""
        self.writer.close(complete=complete)

    def __enter__(self) -> "TreeRecorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.__exit__(kind, error, trace)


def _arrays(tree: Any) -> Mapping[str, np.ndarray]:
    """The floating-point arrays of a tree by path, such as "dense.kernel"."""
    import jax  # not above: recorders of other packages load none

    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    found = {}
    for path, leaf in paths:
        if isinstance(leaf, jax.Array | np.ndarray | np.generic | float):
            array = np.asarray(leaf)
            if array.dtype.kind == "f" or array.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2"):
                found[jax.tree_util.keystr(path, simple=True, separator=".")] = array
    if not found:
        raise InputError("the tree has no floating-point arrays: give a network's weights")
    return found


def _rms(array: np.ndarray) -> float:
    values = array.astype(np.float64)
    return float(np.sqrt(np.mean(values**2))) if values.size else 0.0
