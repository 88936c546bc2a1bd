"""A decoder-only transformer."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from widthwise.errors import InputError
from widthwise.networks.activations import Elementwise, activation
from widthwise.networks.normalize import Normalize, plan_normalize
from widthwise.networks.plans import Leaf, embedding, readout, weights
from widthwise.networks.trace import Layer, Trace
from widthwise.study import NetworkSettings

EXPANSION = 4  # neurons of a block's perceptron over the width

Stream = Float[Array, "point position channel"]


class Attention(eqx.Module):
    r"""Causal attention of several heads, each of size d, without biases.

    $$a_{qk} = softmax_{k \le q}(s\, Q_q \cdot K_k), \qquad y_q = W_O \, (\textstyle\sum_k a_{qk} V_k)$$

    **Fields:** `query`, `key`, `value`, `out` (width, width), the first three with heads after each other on
    the outgoing side; `scale` s: sqrt(d_0)/d in mean_field, with d_0 the size of a head at the base width,
    and 1/sqrt(d) in the other parametrizations, the same at the base width.
    """

    query: Leaf
    key: Leaf
    value: Leaf
    out: Leaf
    heads: int = eqx.field(static=True)
    scale: float = eqx.field(static=True)

    def __call__(self, x: Stream) -> tuple[Stream, Float[Array, "point head query key"]]:
        """What is added to the stream, and the attention of every head; its rows sum to one."""
        split = (*x.shape[:2], self.heads, x.shape[2] // self.heads)
        queries, keys, values = ((x @ w.T).reshape(split) for w in (self.query, self.key, self.value))
        logits = self.scale * jnp.einsum("pqhd,pkhd->phqk", queries, keys)
        seen = jnp.tril(jnp.ones(logits.shape[-2:], bool))
        attention = jax.nn.softmax(jnp.where(seen, logits, -jnp.inf), axis=-1)
        mixed = jnp.einsum("phqk,pkhd->pqhd", attention, values)
        return mixed.reshape(x.shape) @ self.out.T, attention


class Block(eqx.Module):
    r"""$x \leftarrow x + A(n_1(x))$, then $x \leftarrow x + W_2 \phi(h)$ with $h = W_1 n_2(x)$ of four times
    the width; neither branch is scaled."""

    norms: tuple[Normalize, Normalize]
    attention: Attention
    up: Leaf
    down: Leaf

    def __call__(
        self, x: Stream, phi: Elementwise
    ) -> tuple[Stream, Layer, Float[Array, "point head query key"]]:
        """The stream after the block, its perceptron's hidden layer, its attention."""
        added, attention = self.attention(self.norms[0](x))
        x = x + added
        h = self.norms[1](x) @ self.up.T
        feature = phi(h)
        return x + feature @ self.down.T, Layer(h, feature), attention


class Transformer(eqx.Module):
    r"""Next-token prediction with learned positions and normalization of tokens before each branch.

    $$x = E_{token} + P_{position}, \quad x \leftarrow \text{blocks}, \quad f = w\, n(x)$$

    With tied embeddings there is no w: entries of E start at 1/sqrt(N_0), what is looked up is multiplied by
    sqrt(N_0), and $f = E\, n(x)\, c / \gamma$ with c = N_0/N in mean_field, sqrt(N_0/N) in ntk and 1 else.

    A trace shows "embedding"; for each block l "mlp l", its perceptron's hidden layer, and "stream l", the
    residual stream after it (its own feature); "final", the normalized stream; attention as "block l".
    Outputs are (point, position, vocabulary).
    """

    token: Leaf
    position: Leaf
    blocks: tuple[Block, ...]
    norm: Normalize
    readout: Leaf | None
    lookup: float = eqx.field(static=True)
    tied_scale: float = eqx.field(static=True)
    settings: NetworkSettings = eqx.field(static=True)

    def trace(self, inputs: Num[Array, "point *shape"]) -> Trace:
        """The forward pass over tokens (point, position), at most as many as there are positions."""
        phi = activation(self.settings)
        x = self.token[inputs] * self.lookup + self.position[: inputs.shape[1]]
        layers, attention = {"embedding": Layer(x, x)}, {}
        for number, block in enumerate(self.blocks, 1):
            x, layers[f"mlp {number}"], attention[f"block {number}"] = block(x, phi)
            layers[f"stream {number}"] = Layer(x, x)
        x = self.norm(x)
        layers["final"] = Layer(x, x)
        matrix = self.token * self.tied_scale if self.readout is None else self.readout
        return Trace(x @ matrix.T, layers, attention)


def plan_transformer(
    settings: NetworkSettings, shape: tuple[int, ...], outputs: int, width: int
) -> Transformer:
    """With tensors in place of arrays. **Arguments:** `shape` is (positions,), `outputs` the vocabulary."""
    if len(shape) != 1:
        raise InputError(f"a transformer reads tokens (position,), not inputs of shape {shape}")
    tied, base = settings.tied_embeddings, settings.base_width
    if tied and settings.readout == "zero":
        raise InputError('`network.readout` = "zero": tied embeddings have no readout; untie them')
    power = {"mean_field": 1.0, "ntk": 0.5, "standard": 0.0}[settings.parametrization]
    return Transformer(
        token=embedding(settings, outputs, width, 1 / math.sqrt(base) if tied else 1.0),
        position=embedding(settings, shape[0], width),
        blocks=tuple(_plan_block(settings, width) for _ in range(settings.hidden_layers)),
        norm=plan_normalize(settings, width),
        readout=None if tied else readout(settings, outputs, width),
        lookup=math.sqrt(base) if tied else 1.0,
        tied_scale=(base / width) ** power / settings.richness,
        settings=settings,
    )


def _plan_block(settings: NetworkSettings, width: int) -> Block:
    size, base_size = _head_size(settings, width), _head_size(settings, settings.base_width)
    mean_field = settings.parametrization == "mean_field"
    scale = math.sqrt(base_size) / size if mean_field else 1 / math.sqrt(size)
    square = [weights(settings, (width, width)) for _ in range(4)]
    return Block(
        (plan_normalize(settings, width), plan_normalize(settings, width)),
        Attention(*square, heads=width // size, scale=scale),
        up=weights(settings, (EXPANSION * width, width)),
        down=weights(settings, (width, EXPANSION * width)),
    )


def _head_size(settings: NetworkSettings, width: int) -> int:
    key = "head_size" if settings.head_size else "heads"
    unit = settings.head_size or settings.heads
    if width % unit:
        raise InputError(f"`network.{key}` = {unit}: width {width} is no multiple of it")
    return settings.head_size or width // settings.heads
