"""How large weights, gradients, updates and what passes through a network are."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from widthwise.networks.trace import Trace


def tensor_rms(tree: PyTree[Float[Array, "..."]]) -> Float[Array, "tensor"]:
    r"""Root mean square of each tensor's entries, in the order of `tensor_names`.

    $$\sqrt{\tfrac1n \textstyle\sum_i w_i^2}$$

    Of weights, gradients or one step's changes. Which power of width each must have is what the table of
    parametrizations says; an empty tensor is 0.
    """
    return jnp.stack([root_mean_square(leaf) for leaf in jax.tree.leaves(tree)])


def forward_rms(trace: Trace, names: tuple[str, ...]) -> Float[Array, "layer"]:
    r"""Root mean square of the preactivations, over points, positions and neurons, of the named layers.

    $$\sqrt{\langle (h^l)^2 \rangle}$$

    O(1) in width in mean-field parametrization.
    """
    return jnp.stack([root_mean_square(trace.layers[name].preactivation) for name in names])


def forward_change_rms(trace: Trace, origin: Trace, names: tuple[str, ...]) -> Float[Array, "layer"]:
    r"""Root mean square of what the preactivations moved by since `origin`, at initialization.

    $$\sqrt{\langle (h^l - h^l_0)^2 \rangle}$$

    O(1) in width where features learn, as in mean-field parametrization; it falls with width where they do
    not. Below rounding times the preactivations it is rounding.
    """
    pairs = [(trace.layers[name].preactivation, origin.layers[name].preactivation) for name in names]
    return jnp.stack([root_mean_square(now - then) for now, then in pairs])


def root_mean_square(values: Float[Array, "..."]) -> Float[Array, ""]:
    """Over all entries; neither overflows nor underflows where the values themselves do not."""
    if not values.size:
        return jnp.zeros((), values.dtype)
    largest = jnp.abs(values).max()
    unit = jnp.where(largest > 0, largest, 1)
    return unit * jnp.sqrt(jnp.mean((values / unit) ** 2))
