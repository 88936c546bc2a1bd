r"""One training step of the single-site processes of a deep network, all layers, told the past.

Every order parameter at step t depends on earlier steps and, within the step, on layers already passed: the
forward pass at t takes new rows of $\Phi^{l-1}$ and $A^{l-1}$ to $h^l$, the backward pass new rows of
$G^{l+1}$ and $B^l$ (its equal-time part included) to $z^l$. So one pass in time solves the equations.

$$ h^l_m(t) = u^l_m(t) + \sum_{s<t, n, c} [A^{l-1}_{m,nc}(t,s)
   + \eta\gamma \Delta_{nc}(s) \Phi^{l-1}_{mn}(t,s)] g^l_{nc}(s) $$
$$ z^l_{mc}(t) = r^l_{mc}(t) + \sum_{s\le t, n} [B^l_{mc,n}(t,s) + \eta\gamma \sum_{c'} \Delta_{nc'}(s)
   G^{l+1}_{mc,nc'}(t,s)] \phi(h^l_n(s)) $$

The Gaussians are $u = C \epsilon$, $\epsilon$ white and $C C^T$ their kernel, so that the responses need no
derivative: $A^l = <d\phi^l/dr^l> = <\phi^l \epsilon_r^T> C_r^{-1}$, $B^{l-1} = <g^l \epsilon_u^T> C_u^{-1}$.
That has little noise, but its derivative much, where kernels are nearly singular: an adjoint is taken of the
same with tangents along random signs, <J zeta zeta^T> = <J>.
With `conditioned`, fresh Gaussians are made orthogonal to all that the weights have multiplied before: then
N sites are a network of width N, in law. **Source:** Bordelon and Pehlevan, arXiv 2205.09653.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from widthwise.infinite_width.activations import Activation
from widthwise.infinite_width.order_parameters import loss_residual


class LayerPast(NamedTuple):
    """What a layer's sites did at earlier steps; zero from the present step on. K = points x outputs.

    A copy is the value itself, and where derivatives are wanted its tangents along random signs of u and r.
    """

    phi: Float[Array, "copy site step point"]
    g: Float[Array, "copy site step K"]
    white_u: Float[Array, "site step point"] | None  # the white Gaussians, where they are conditioned
    white_r: Float[Array, "site step K"] | None
    factor_u: Float[Array, "step point step point"]  # Cholesky rows of Phi^{l-1}, and of G^{l+1}
    factor_r: Float[Array, "step K step K"]


class Past(NamedTuple):
    """Everything that a step reads: all layers, and the outputs before centering."""

    layers: tuple[LayerPast, ...]
    output: Float[Array, "step point output"]


class LayerNoise(NamedTuple):
    """Frozen randomness of a layer: white Gaussians, or the initial fields themselves; random signs.

    At the first layer `u` is h at initialization (site, 1, point), at the last `r` is w (site, 1, output).
    """

    u: Float[Array, "site time point"]
    r: Float[Array, "site time K"]
    sign_u: Float[Array, "site step point"] | None = None
    sign_r: Float[Array, "site step K"] | None = None


class LayerRows(NamedTuple):
    """Rows (t, s <= t) of a layer's order parameters: Phi^l, G^l, A^l, B^{l-1}."""

    phi: Float[Array, "point step point"]
    g: Float[Array, "K step K"]
    a: Float[Array, "point step K"]
    b: Float[Array, "K step point"]
    # <g of the loss . g that moves the weights>, where a learning rule makes the two differ
    alignment: Float[Array, "K step K"] | None = None


class Rows(NamedTuple):
    """Rows of every layer and the outputs, at one step."""

    layers: tuple[LayerRows, ...]
    output: Float[Array, "point output"]


class LayerDrift(NamedTuple):
    """The brackets above at one step: what the past of g does to h, and that of phi to z."""

    h: Float[Array, "point step K"]
    z: Float[Array, "K step point"]


class DeepProcess(eqx.Module):
    """The setting: all that does not depend on time or sites. What shapes the program is static."""

    input_kernel: Float[Array, "point point"]
    targets: Float[Array, "point output"]
    richness: Float[Array, ""]
    rates: Float[
        Array, "step step"
    ]  # [t, s]: by how much gradient s has moved the weights at t; 0 for s >= t
    activation: Activation
    depth: int = eqx.field(static=True)
    train: int = eqx.field(static=True)
    centered: bool = eqx.field(static=True)
    loss: str = eqx.field(static=True)
    mean_loss: bool = eqx.field(static=True)
    steps: int = eqx.field(static=True)
    conditioned: bool = eqx.field(static=True, default=False)
    jitter: float = eqx.field(static=True, default=1e-9)  # added to a kernel's diagonal, of its mean
    # The step of a learning rule other than backpropagation, with the signature of `advance`.
    rule: Callable[..., tuple[Past, Rows, tuple[LayerDrift, ...]]] | None = eqx.field(
        static=True, default=None
    )

    def kicks(self, output: Float[Array, "step point output"], t: Int[Array, ""]) -> Float[Array, "..."]:
        """What step t has received of gamma Delta(s) on training points, else zero: (step, point, output)."""
        prediction = output - output[0] if self.centered else output
        residual = jax.vmap(lambda f: loss_residual(self.targets, f, self.loss))(prediction)
        trained = jnp.arange(len(self.targets)) < self.train
        weights = jnp.take(self.rates, t, axis=0)[:, None, None]
        return self.richness * weights * jnp.where(trained[:, None], residual, 0.0)


class Taps(NamedTuple):
    """Added to what a layer's sites read of their past: zero in use, and what one differentiates by."""

    h: Float[Array, "copy site point"] | float = 0.0
    z: Float[Array, "copy site K"] | float = 0.0


class Fields(NamedTuple):
    """A layer's sites at the present step, after the forward pass."""

    h: Float[Array, "copy site point"]
    phi: Float[Array, "copy site point"]
    white: Float[Array, "site time point"]  # the white Gaussians up to this step
    factor: Float[Array, "step point step point"]  # and the factor that they are read with


def advance(
    process: DeepProcess,
    past: Past,
    noise: tuple[LayerNoise, ...],
    slots: Rows,
    t: Int[Array, ""],
    taps: tuple[Taps, ...] | None = None,
) -> tuple[Past, Rows, tuple[LayerDrift, ...]]:
    """Step `t`: the entries that it adds to the past, the rows of the order parameters, and the drifts.

    `slots` are added to the averages over sites: zero in use, and what one differentiates by.
    """
    if process.rule is not None:
        return process.rule(process, past, noise, slots, t, taps)
    kicks, depth = process.kicks(past.output, t), len(past.layers)
    taps = taps or (Taps(),) * depth
    fields, phi_rows, a_rows, h_drifts = forward_pass((process, past, noise, slots), kicks, taps, t)
    entries, g_rows, b_rows, z_drifts = [], [], [], []
    output = slots.output
    for layer in reversed(range(depth)):
        known, slot, each, made = past.layers[layer], slots.layers[layer], noise[layer], fields[layer]
        below = (g_rows[0], b_rows[0], fields[layer + 1].factor) if g_rows else None
        entry, z, drift = backward(process, known, each, made, below, kicks, taps[layer].z, t)
        if below is None:
            products = made.phi[0][..., None] * z.reshape(len(z), *process.targets.shape)
            output = output + jnp.mean(products, axis=0) / process.richness
        b_row = slot.b
        if layer:
            along = None if each.sign_u is None else average(entry.g[1], each.sign_u)
            b_row += response(entry.g[0], made.white, made.factor, t + 1) if along is None else along
        entries.insert(0, entry)
        g_rows.insert(0, kept(equal_and_past(entry.g[0], known.g[0], t) + slot.g, t, present=True))
        b_rows.insert(0, kept(b_row, t, present=True))
        z_drifts.insert(0, drift)
    rows = (LayerRows(*each) for each in zip(phi_rows, g_rows, a_rows, b_rows, strict=True))
    drifts = (LayerDrift(*each) for each in zip(h_drifts, z_drifts, strict=True))
    return Past(tuple(entries), output), Rows(tuple(rows), output), tuple(drifts)


def forward_pass(
    given: tuple[DeepProcess, Past, tuple[LayerNoise, ...], Rows],
    kicks: Float[Array, "step point output"],
    taps: tuple[Taps, ...],
    t: Int[Array, ""],
) -> tuple[list[Fields], list[Array], list[Array], list[Array]]:
    """Fields, rows of Phi and of A (of backpropagation alone), and drifts of all layers; slots added."""
    process, past, noise, slots = given
    fields: list[Fields] = []
    phi_rows, a_rows, drifts = [], [], []
    for layer, (known, slot, each) in enumerate(zip(past.layers, slots.layers, noise, strict=True)):
        above = (phi_rows[-1], a_rows[-1], past.layers[layer - 1].factor_r) if layer else None
        made, drift = forward(process, known, each, above, kicks, taps[layer].h, t)
        a_row = slot.a
        if layer < len(noise) - 1 and process.rule is None:
            white = each.r if known.white_r is None else known.white_r
            along = None if each.sign_r is None else average(made.phi[2], each.sign_r)
            a_row += response(made.phi[0], white, known.factor_r, t) if along is None else along
        fields.append(made)
        phi_rows.append(kept(equal_and_past(made.phi[0], known.phi[0], t) + slot.phi, t, present=True))
        a_rows.append(kept(a_row, t, present=False))
        drifts.append(drift)
    return fields, phi_rows, a_rows, drifts


def forward(
    process: DeepProcess,
    layer: LayerPast,
    noise: LayerNoise,
    above: tuple[Array, Array, Array] | None,
    kicks: Float[Array, "step point output"],
    tap: Float[Array, "copy site point"] | float,
    t: Int[Array, ""],
) -> tuple[Fields, Float[Array, "point step K"]]:
    """h^l at step `t`, from rows `above` of Phi^{l-1} and A^{l-1} and the factor of G^l; None at layer 1."""
    points, steps = len(process.targets), process.steps
    if above is None:
        kernel = jnp.broadcast_to(process.input_kernel[:, None], (points, steps, points))
        u, white, factor, from_g = noise.u[:, 0], noise.u, layer.factor_u, 0.0
    else:
        kernel, from_g, factor_g = above
        row = extend_factor(layer.factor_u, kernel, t, process.jitter)
        factor = jax.lax.dynamic_update_index_in_dim(layer.factor_u, row, t, 0)
        white = noise.u
        if layer.white_u is not None:
            fresh = orthogonal(jnp.take(noise.u, t, axis=1), layer.g[0], factor_g, t)
            white = jax.lax.dynamic_update_index_in_dim(layer.white_u, fresh, t, 1)
        u = read(row, white)
    drift = (kernel[..., None] * kicks).reshape(points, steps, -1) + from_g
    h = (read(drift, layer.g) + tap).at[0].add(u)
    if above is not None and noise.sign_u is not None:
        h = h.at[1].add(jnp.take(noise.sign_u, t, axis=1))
    phi = jnp.concatenate([process.activation.value(h[:1]), process.activation.slope(h[0]) * h[1:]])
    return Fields(h, phi, white, factor), drift


def backward(
    process: DeepProcess,
    layer: LayerPast,
    noise: LayerNoise,
    made: Fields,
    below: tuple[Array, Array, Array] | None,
    kicks: Float[Array, "step point output"],
    tap: Float[Array, "copy site K"] | float,
    t: Int[Array, ""],
) -> tuple[LayerPast, Float[Array, "site K"], Float[Array, "K step point"]]:
    """The layer's entries at step `t`, z^l and its drift, from rows `below` of G^{l+1} and B^l and the factor
    of Phi^l; None at L."""
    points, outputs = process.targets.shape
    if below is None:
        r, white = jnp.tile(noise.r[:, 0], (1, points)), noise.r
        row = jnp.zeros((points * outputs, process.steps, points * outputs))
        drift = jnp.tile(jnp.moveaxis(kicks, -1, 0), (points, 1, 1))
    else:
        kernel, from_phi, factor_phi = below
        row = extend_factor(layer.factor_r, kernel, t, process.jitter)
        white = noise.r
        if layer.white_r is not None:
            phis = jax.lax.dynamic_update_index_in_dim(layer.phi[0], made.phi[0], t, 1)
            fresh = orthogonal(jnp.take(noise.r, t, axis=1), phis, factor_phi, t + 1)
            white = jax.lax.dynamic_update_index_in_dim(layer.white_r, fresh, t, 1)
        r = read(row, white)
        drift = jnp.sum(kernel.reshape(*kernel.shape[:2], points, outputs) * kicks, axis=-1) + from_phi
    present = jnp.take(drift, t, axis=1).T  # the equal-time part of B: the kicks are not felt yet
    z = (read(drift, layer.phi) + made.phi @ present.astype(made.phi.dtype) + tap).at[0].add(r)
    if below is not None and noise.sign_r is not None:
        z = z.at[2].add(jnp.take(noise.sign_r, t, axis=1))
    steep, bent = jax.jvp(process.activation.slope, (made.h[0],), (jnp.ones_like(made.h[0]),))

    def wide(values):
        return jnp.repeat(values, outputs, axis=-1)

    g = wide(steep) * z
    g = g.at[1:].add(wide(bent * made.h[1:]) * z[0])
    white_u = None if layer.white_u is None else jnp.take(made.white, t, axis=1)
    white_r = None if layer.white_r is None else jnp.take(white, t, axis=1)
    return LayerPast(made.phi, g, white_u, white_r, jnp.take(made.factor, t, axis=0), row), z[0], drift


def response(
    values: Float[Array, "site a"],
    white: Float[Array, "site step b"],
    factor: Float[Array, "step b step b"],
    end: Int[Array, ""],
) -> Float[Array, "a step b"]:
    """<d values / d x(s)> for s < `end` of Gaussians x = C white: <values white^T> C^{-1}, by parts."""
    row = jnp.where((jnp.arange(white.shape[1]) < end)[:, None], average(values, white), 0.0)
    filled = filled_factor(factor, end)
    solved = jax.scipy.linalg.solve_triangular(filled, row.reshape(len(row), -1).T, trans=1, lower=True)
    return solved.T.reshape(row.shape)


def orthogonal(
    fresh: Float[Array, "site a"],
    history: Float[Array, "site step b"],
    factor: Float[Array, "step b step b"],
    end: Int[Array, ""],
) -> Float[Array, "site a"]:
    """`fresh` less its part in the span of the `history` before step `end`, whose kernel has this factor."""
    overlap = jnp.where((jnp.arange(history.shape[1]) < end)[:, None], average(fresh, history), 0.0)
    weights = jax.scipy.linalg.cho_solve(
        (filled_factor(factor, end), True), overlap.reshape(len(overlap), -1).T
    )
    return fresh - read(weights.T.reshape(overlap.shape), history)


def average(left: Float[Array, "site a"], right: Float[Array, "site step b"]) -> Float[Array, "a step b"]:
    """<left_a right_(s, b)> over sites, in double precision whatever theirs."""
    count = len(left)
    return (left.T @ right.reshape(count, -1) / count).reshape(left.shape[1], *right.shape[1:]).astype(float)


def read(
    weights: Float[Array, "a step b"], history: Float[Array, "*copy site step b"]
) -> Float[Array, "*copy site a"]:
    """sum_(s, b) weights_(a, s, b) history_(s, b) of each site."""
    flat = history.reshape(*history.shape[:-2], -1)
    return flat @ weights.reshape(len(weights), -1).T.astype(history.dtype)


def equal_and_past(
    present: Float[Array, "site a"], past: Float[Array, "site step a"], t: Int[Array, ""]
) -> Float[Array, "a step a"]:
    """<present_a x_(s, b)> for s <= t, x being `past` before t and `present` at t."""
    now = jax.nn.one_hot(t, past.shape[1])
    return average(present, past) + now[:, None] * average(present, present[:, None])


def kept(row: Float[Array, "a step b"], t: Int[Array, ""], *, present: bool) -> Array:
    """The part that is allowed by causality: s < t, and s = t where `present`."""
    return jnp.where((jnp.arange(row.shape[1]) < t + int(present))[:, None], row, 0.0)


def filled_factor(factor: Float[Array, "step a step a"], end: Int[Array, ""]) -> Float[Array, "n n"]:
    """The Cholesky factor of the steps before `end` as a matrix, with the identity after them."""
    steps, size = factor.shape[:2]
    identity = jnp.eye(steps * size).reshape(factor.shape)
    done = (jnp.arange(steps) < end)[:, None, None, None]
    return jnp.where(done, factor, identity).reshape(steps * size, -1)


def extend_factor(
    factor: Float[Array, "step a step a"], kernel: Float[Array, "a step a"], t: Int[Array, ""], jitter: float
) -> Float[Array, "a step a"]:
    """The rows at step `t` of the Cholesky factor whose rows so far are `factor`, given the kernel's."""
    steps, size = factor.shape[:2]
    past = jnp.where((jnp.arange(steps) < t)[:, None], kernel, 0.0).reshape(size, -1)
    cross = jax.scipy.linalg.solve_triangular(filled_factor(factor, t), past.T, lower=True).T
    present = jnp.take(kernel, t, axis=1)
    present = 0.5 * (present + present.T)
    scale = jitter * jnp.trace(present) / size
    corner = jnp.linalg.cholesky(present - cross @ cross.T + scale * jnp.eye(size))
    return cross.reshape(kernel.shape) + jax.nn.one_hot(t, steps)[:, None] * corner[:, None]
