"""What one forward pass shows of the layers of any architecture, and how large their tensors are."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from widthwise.networks.trace import Trace
from widthwise.records.schema import QUANTILE_LEVELS


def feature_kernels(trace: Trace, names: tuple[str, ...]) -> Float[Array, "layer point point"]:
    r"""Feature kernel of each named layer.

    $$\Phi^l_{mn} = \frac{1}{N S} \sum_{s=1}^{S} \sum_{i=1}^{N} \phi(h^l_{m s i}) \, \phi(h^l_{n s i})$$

    over the N neurons (channels) and the S positions of the layer, each position with itself: symmetric,
    positive semi-definite, O(1) in width where features are.
    """
    rows = [jnp.reshape(trace.layers[name].feature, (len(trace.output), -1)) for name in names]
    return jnp.stack([each @ each.T / each.shape[1] for each in rows])


def first_attention(trace: Trace, names: tuple[str, ...]) -> Float[Array, "block head query key"]:
    """Attention weights of the named blocks at the first point; rows sum to one over keys."""
    return jnp.stack([trace.attention[name][0] for name in names])


def preactivation_quantiles(
    trace: Trace, names: tuple[str, ...], levels: tuple[float, ...] = QUANTILE_LEVELS
) -> Float[Array, "layer point quantile"]:
    """Quantiles of the preactivations of each named layer at each point, neurons and positions pooled.

    O(1) in width in mean-field parametrization. Of n independent pooled values, the quantile at level q has
    standard error sqrt(q (1 - q) / n) over the density there and a bias of order 1/n; levels within about
    2 / (3 n) of an end give the extreme value. Whatever the distribution, the estimate's median is close to
    the quantile.

    **Source:** Hyndman and Fan (1996), Sample quantiles in statistical packages, definition 8.
    """
    pooled = [jnp.reshape(trace.layers[name].preactivation, (len(trace.output), -1)) for name in names]
    return jnp.stack([_quantiles(values, levels) for values in pooled])


def _quantiles(
    values: Float[Array, "point value"], levels: tuple[float, ...]
) -> Float[Array, "point quantile"]:
    count = values.shape[1]
    # Counted from 0: (count + 1/3) q + 1/3 is the place counted from 1.
    place = np.clip((count + 1 / 3) * np.array(levels) - 2 / 3, 0, count - 1)
    below = np.floor(place).astype(np.int32)
    above = np.minimum(below + 1, count - 1)
    part = jnp.asarray(place - below, values.dtype)
    ordered = jnp.sort(values, axis=1)
    return (1 - part) * ordered[:, below] + part * ordered[:, above]


def tensor_names(tree: PyTree) -> tuple[str, ...]:
    """Where each array of a tree is, as in "hidden.0" or "blocks.2.query", in the order of its leaves."""
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return tuple(jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in paths)


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
