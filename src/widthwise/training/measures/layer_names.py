"""Names of layers and tensors, in the order in which they are recorded."""

from collections.abc import Callable

import jax
from jaxtyping import PyTree

from widthwise.networks.trace import Trace


def layer_names(trace_of: Callable[[], Trace]) -> tuple[str, ...]:
    """Names of a trace's layers, from the input on, without computing it.

    Compiled functions and `vmap` return dictionaries sorted by name, so the order must be asked for where
    the trace is made: every measure by layer takes these names.

    **Arguments:** `trace_of`, such as `lambda: network.trace(inputs)`; arrays may be abstract.
    """
    return _names(trace_of, "layers")


def attention_names(trace_of: Callable[[], Trace]) -> tuple[str, ...]:
    """Names of the blocks that have attention, from the input on; see `layer_names`."""
    return _names(trace_of, "attention")


def _names(trace_of: Callable[[], Trace], field: str) -> tuple[str, ...]:
    found: list[str] = []

    def look() -> None:
        found.extend(getattr(trace_of(), field))

    jax.eval_shape(look)
    return tuple(found)


def tensor_names(tree: PyTree) -> tuple[str, ...]:
    """Where each array of a tree is, as in "hidden.0" or "blocks.2.query", in the order of its leaves."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return tuple(jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths)
