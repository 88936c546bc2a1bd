"""Normalizations: of a token, of groups of channels, of a channel over the batch."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from widthwise.networks.plans import Leaf, scale_and_shift
from widthwise.study import NetworkSettings
from widthwise.study.settings import Normalization

EPSILON = 1e-5  # added to variances, as in PyTorch
GROUPS = 4  # few, so that those of narrow networks are no smaller than they must be


class Normalize(eqx.Module):
    r"""$$y = g\,(x - \langle x \rangle) / \sqrt{Var(x) + 10^{-5}} + b$$

    with one g and b a channel, and averages over

    - "layer": the channels of one point at one position;
    - "group": the positions and the channels of one group of one point. There are 4 groups (or as many as
      the greatest common divisor of 4 and the channels), so groups grow with the width;
    - "batch": the points and positions of one channel. The statistics are those of the points at hand, in
      training the batch, at probes the probe points: nothing is remembered between them.
    """

    gain: Leaf
    bias: Leaf
    kind: str = eqx.field(static=True)

    def __call__(self, x: Float[Array, "point *position channel"]) -> Float[Array, "point *position channel"]:
        """Normalized, of the same shape."""
        if self.kind == "layer":
            split, axes = x, (-1,)
        elif self.kind == "batch":
            split, axes = x, tuple(range(x.ndim - 1))
        else:
            groups = math.gcd(GROUPS, x.shape[-1])
            split = x.reshape(len(x), -1, groups, x.shape[-1] // groups)
            axes = (1, 3)
        centered = split - split.mean(axes, keepdims=True)
        normal = centered * jax.lax.rsqrt(jnp.square(centered).mean(axes, keepdims=True) + EPSILON)
        return normal.reshape(x.shape) * self.gain + self.bias


def plan_normalize(settings: NetworkSettings, channels: int, kind: Normalization | None = None) -> Normalize:
    """With tensors in place of arrays; of tokens if `kind` is None."""
    return Normalize(*scale_and_shift(settings, channels), kind or "layer")
