"""Names of tensors, in the order in which they are recorded."""

import jax
from jaxtyping import PyTree


def tensor_names(tree: PyTree) -> tuple[str, ...]:
    """Where each array of a tree is, as in "hidden.0" or "blocks.2.query", in the order of its leaves."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return tuple(jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths)
