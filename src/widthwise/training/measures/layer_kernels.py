"""What the layers of any architecture show of the points: feature kernels and attention."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from widthwise.networks.trace import Trace


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
