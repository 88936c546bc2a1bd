"""Frozen random feedback: what errors travel back through when they do not use the network's own weights."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from widthwise.networks.activations import activation, derivative
from widthwise.study import NetworkSettings

FEEDBACK_STREAM = 1  # folded into a network's key: its weights are the same under every learning rule


class Feedback(eqx.Module):
    r"""Weights of the backward pass, N(0, 1) and independent of the network's; they never change.

    $$\tilde z^L_c = v^L_c, \qquad \tilde z^l_c = \tilde W^{lT} \tilde g^{l+1}_c / \sqrt{N}
      \text{ or, if direct, } v^l_c, \qquad \tilde g^l_c = \phi'(h^l) \tilde z^l_c$$

    **Fields:** `layers`, from the first hidden layer to the last: v^l (output, width) of the last one and, if
    `direct`, of every one; W~^l (width, width) of the others if not.
    **Source:** Bordelon and Pehlevan, arXiv 2210.02157.
    """

    layers: tuple[Float[Array, "_ width"], ...]
    direct: bool = eqx.field(static=True)


def draw_feedback(
    key: Key[Array, ""],
    rule: str,
    shape: tuple[int, int, int],
    dtype: DTypeLike = jnp.float32,
) -> Feedback | None:
    """The feedback of the network with this key under `training.learning_rule`; None for backpropagation.

    **Arguments:** `shape` is (hidden layers L, width N, outputs C).
    """
    if rule == "backpropagation":
        return None
    hidden, width, outputs = shape
    direct = rule == "direct_feedback_alignment"
    rows = [outputs if direct else width] * (hidden - 1) + [outputs]
    ends = np.cumsum(rows)
    drawn = jax.random.normal(jax.random.fold_in(key, FEEDBACK_STREAM), (int(ends[-1]), width), dtype)
    return Feedback(tuple(jnp.split(drawn, [int(end) for end in ends[:-1]])), direct)


def feedback_fields(
    feedback: Feedback,
    network: NetworkSettings,
    fields: tuple[Float[Array, "point width"], ...],
    pull: Float[Array, "*extra point output"],
) -> list[Float[Array, "*extra point width"]]:
    """sum_c pull_c g~^l_c at every point, for l = 1..L, given the preactivations `fields`."""
    phi = activation(network)
    gradient = derivative(phi, fields[-1]) * (pull @ feedback.layers[-1])
    found = [gradient]
    for h, weights in zip(fields[-2::-1], feedback.layers[-2::-1], strict=True):
        if feedback.direct:
            arriving = pull @ weights
        else:
            arriving = gradient @ weights / jnp.sqrt(len(weights)).astype(h.dtype)
        gradient = derivative(phi, h) * arriving
        found.insert(0, gradient)
    return found
