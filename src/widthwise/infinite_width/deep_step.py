r"""One training step of the single-site processes of a deep network, all layers, told the past.

Every order parameter at step t depends on earlier steps and, within the step, on layers already passed: the
forward pass at t takes new rows of $\Phi^{l-1}$ and $A^{l-1}$ to $h^l$, the backward pass new rows of
$G^{l+1}$ and $B^l$ (its equal-time part included) to $z^l$. So one pass in time solves the equations.

$$ h^l_m(t) = u^l_m(t) + \sum_{s<t, n, c} [A^{l-1}_{m,nc}(t,s)
   + \eta\gamma \Delta_{nc}(s) \Phi^{l-1}_{mn}(t,s)] g^l_{nc}(s) $$
$$ z^l_{mc}(t) = r^l_{mc}(t) + \sum_{s\le t, n} [B^l_{mc,n}(t,s) + \eta\gamma \sum_{c'} \Delta_{nc'}(s)
   G^{l+1}_{mc,nc'}(t,s)] \phi(h^l_n(s)) $$

The responses $A^l = <d\phi(h^l(t)) / dr^l(s)>$ and $B^{l-1} = <dg^l(t) / du^l(s)>$ come from tangents along
random signs: <J zeta zeta^T> = <J>. **Source:** Bordelon and Pehlevan, arXiv 2205.09653.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from widthwise.infinite_width.activations import activation_and_slope
from widthwise.infinite_width.order import loss_residual
from widthwise.study import NetworkSettings

JITTER = 1e-9  # of a kernel's mean diagonal, added to its diagonal before the Cholesky factor is extended


class LayerPast(NamedTuple):
    """What a layer's sites did at earlier steps; zero from the present step on. K = points x outputs."""

    phi: Float[Array, "site step point"]
    g: Float[Array, "site step K"]
    phi_r: Float[Array, "site step point"]  # tangents along the signs of r
    g_r: Float[Array, "site step K"]
    phi_u: Float[Array, "site step point"]  # tangents along the signs of u
    g_u: Float[Array, "site step K"]
    factor_u: Float[Array, "step point step point"]  # Cholesky rows of Phi^{l-1}, and of G^{l+1}
    factor_r: Float[Array, "step K step K"]


class Past(NamedTuple):
    """Everything that a step reads: all layers, and the outputs before centering."""

    layers: tuple[LayerPast, ...]
    output: Float[Array, "step point output"]


class LayerNoise(NamedTuple):
    """Frozen randomness of a layer: white Gaussians (or the initial fields themselves), and signs.

    At the first layer `u` is h at initialization (site, 1, point), at the last `r` is w (site, 1, output).
    """

    u: Float[Array, "site time point"]
    r: Float[Array, "site time K"]
    sign_u: Float[Array, "site step point"]
    sign_r: Float[Array, "site step K"]


class LayerRows(NamedTuple):
    """Rows (t, s <= t) of a layer's order parameters: Phi^l, G^l, A^l, B^{l-1}."""

    phi: Float[Array, "point step point"]
    g: Float[Array, "K step K"]
    a: Float[Array, "point step K"]
    b: Float[Array, "K step point"]


class Rows(NamedTuple):
    """Rows of every layer and the outputs, at one step."""

    layers: tuple[LayerRows, ...]
    output: Float[Array, "point output"]


class LayerDrift(NamedTuple):
    """The brackets above at one step: what the past of g does to h, and that of phi to z."""

    h: Float[Array, "point step K"]
    z: Float[Array, "K step point"]


class DeepProcess(eqx.Module):
    """The setting: everything that does not depend on time or sites."""

    input_kernel: Float[Array, "point point"]
    targets: Float[Array, "point output"]
    richness: Float[Array, ""]
    rate: Float[Array, ""]
    train: int = eqx.field(static=True)
    network: NetworkSettings = eqx.field(static=True)
    loss: str = eqx.field(static=True)
    steps: int = eqx.field(static=True)

    def kicks(self, output: Float[Array, "step point output"], t: Int[Array, ""]) -> Float[Array, "..."]:
        """eta gamma Delta(s) for s < t on training points, else zero: (step, point, output)."""
        prediction = output - output[0] if self.network.centered else output
        residual = jax.vmap(lambda f: loss_residual(self.targets, f, self.loss))(prediction)
        trained = jnp.arange(len(self.targets)) < self.train
        before = jnp.arange(self.steps) < t
        return self.rate * self.richness * jnp.where(before[:, None, None] & trained[:, None], residual, 0.0)


class Fields(NamedTuple):
    """A layer's sites at the present step, after the forward pass: h, its tangents, what is read off it."""

    h: Float[Array, "site point"]
    h_r: Float[Array, "site point"]
    h_u: Float[Array, "site point"]
    phi: Float[Array, "site point"]
    slope: Float[Array, "site point"]
    factor: Float[Array, "point step point"]


def advance(
    process: DeepProcess, past: Past, noise: tuple[LayerNoise, ...], slots: Rows, t: Int[Array, ""]
) -> tuple[Past, Rows, tuple[LayerDrift, ...]]:
    """Step `t`: the entries that it adds to the past, the rows of the order parameters, and the drifts.

    `slots` are added to the averages over sites: zero in use, and what one differentiates by.
    """
    kicks, depth = process.kicks(past.output, t), len(past.layers)
    fields: list[Fields] = []
    phi_rows, a_rows, h_drifts = [], [], []
    for layer in range(depth):
        above = (phi_rows[-1], a_rows[-1]) if layer else None
        made, drift = forward(process, past.layers[layer], noise[layer], above, kicks, t)
        phi_row = equal_and_past(made.phi, past.layers[layer].phi, t) + slots.layers[layer].phi
        a_row = average(made.slope * made.h_r, noise[layer].sign_r) + slots.layers[layer].a
        fields.append(made)
        phi_rows.append(_kept(phi_row, process.steps, t, present=True))
        a_rows.append(_kept(a_row, process.steps, t, present=False))
        h_drifts.append(drift)
    entries, g_rows, b_rows, z_drifts = [], [], [], []
    output = slots.output
    for layer in reversed(range(depth)):
        below = (g_rows[0], b_rows[0]) if g_rows else None
        entry, z, drift = backward(process, past.layers[layer], noise[layer], fields[layer], below, kicks, t)
        if below is None:
            products = fields[layer].phi[..., None] * z.reshape(len(z), *process.targets.shape)
            output = output + jnp.mean(products, axis=0) / process.richness
        g_row = equal_and_past(entry.g, past.layers[layer].g, t) + slots.layers[layer].g
        b_row = average(entry.g_u, noise[layer].sign_u) + slots.layers[layer].b
        entries.insert(0, entry)
        g_rows.insert(0, _kept(g_row, process.steps, t, present=True))
        b_rows.insert(0, _kept(b_row, process.steps, t, present=True))
        z_drifts.insert(0, drift)
    rows = (LayerRows(*each) for each in zip(phi_rows, g_rows, a_rows, b_rows, strict=True))
    drifts = (LayerDrift(*each) for each in zip(h_drifts, z_drifts, strict=True))
    return Past(tuple(entries), output), Rows(tuple(rows), output), tuple(drifts)


def forward(
    process: DeepProcess,
    layer: LayerPast,
    noise: LayerNoise,
    above: tuple[Array, Array] | None,
    kicks: Float[Array, "step point output"],
    t: Int[Array, ""],
) -> tuple[Fields, Float[Array, "point step K"]]:
    """h^l and its tangents at step `t`, from rows `above` of Phi^{l-1} and A^{l-1}; None at layer 1."""
    act, slope = activation_and_slope(process.network)
    points, steps = len(process.targets), process.steps
    if above is None:
        kernel = jnp.broadcast_to(process.input_kernel[:, None], (points, steps, points))
        u, factor, response, sign = noise.u[:, 0], jnp.zeros((points, steps, points)), 0.0, 0.0
    else:
        kernel, response = above
        factor = extend_factor(layer.factor_u, kernel, t)
        u, sign = read(factor, noise.u), jnp.take(noise.sign_u, t, axis=1)
    drift = (kernel[..., None] * kicks).reshape(points, steps, -1) + response
    h = u + read(drift, layer.g)
    return Fields(h, read(drift, layer.g_r), read(drift, layer.g_u) + sign, act(h), slope(h), factor), drift


def backward(
    process: DeepProcess,
    layer: LayerPast,
    noise: LayerNoise,
    fields: Fields,
    below: tuple[Array, Array] | None,
    kicks: Float[Array, "step point output"],
    t: Int[Array, ""],
) -> tuple[LayerPast, Float[Array, "site K"], Float[Array, "K step point"]]:
    """The layer's entries at step `t`, z^l and its drift, from rows `below` of G^{l+1} and B^l; None at L."""
    points, outputs = process.targets.shape
    if below is None:
        r, sign = jnp.tile(noise.r[:, 0], (1, points)), 0.0
        factor = jnp.zeros((points * outputs, process.steps, points * outputs))
        drift = jnp.tile(jnp.moveaxis(kicks, -1, 0), (points, 1, 1))
    else:
        kernel, response = below
        factor = extend_factor(layer.factor_r, kernel, t)
        r, sign = read(factor, noise.r), jnp.take(noise.sign_r, t, axis=1)
        drift = jnp.sum(kernel.reshape(*kernel.shape[:2], points, outputs) * kicks, axis=-1) + response
    _, slope = activation_and_slope(process.network)
    bend = jax.jvp(slope, (fields.h,), (jnp.ones_like(fields.h),))[1]
    phi_r, phi_u = fields.slope * fields.h_r, fields.slope * fields.h_u
    present = jnp.take(drift, t, axis=1).T  # the equal-time part of B: the kicks are not felt yet
    z = r + read(drift, layer.phi) + fields.phi @ present
    z_r = read(drift, layer.phi_r) + phi_r @ present + sign
    z_u = read(drift, layer.phi_u) + phi_u @ present

    def wide(values):
        return jnp.repeat(values, outputs, axis=1)

    g = wide(fields.slope) * z
    g_r = wide(bend * fields.h_r) * z + wide(fields.slope) * z_r
    g_u = wide(bend * fields.h_u) * z + wide(fields.slope) * z_u
    return LayerPast(fields.phi, g, phi_r, g_r, phi_u, g_u, fields.factor, factor), z, drift


def average(left: Float[Array, "site a"], right: Float[Array, "site step b"]) -> Float[Array, "a step b"]:
    """<left_a right_(s, b)> over sites."""
    count = len(left)
    return (left.T @ right.reshape(count, -1) / count).reshape(left.shape[1], *right.shape[1:])


def read(weights: Float[Array, "a step b"], history: Float[Array, "site step b"]) -> Float[Array, "site a"]:
    """sum_(s, b) weights_(a, s, b) history_(s, b) of each site."""
    return history.reshape(len(history), -1) @ weights.reshape(len(weights), -1).T


def equal_and_past(
    present: Float[Array, "site a"], past: Float[Array, "site step a"], t: Int[Array, ""]
) -> Float[Array, "a step a"]:
    """<present_a x_(s, b)> for s <= t, x being `past` before t and `present` at t."""
    now = jax.nn.one_hot(t, past.shape[1])
    return average(present, past) + now[:, None] * (present.T @ present / len(present))[:, None]


def _kept(row: Float[Array, "a step b"], steps: int, t: Int[Array, ""], *, present: bool) -> Array:
    """The part that is allowed by causality: s < t, and s = t where `present`."""
    return jnp.where((jnp.arange(steps) < t + int(present))[:, None], row, 0.0)


def extend_factor(
    factor: Float[Array, "step a step a"], kernel: Float[Array, "a step a"], t: Int[Array, ""]
) -> Float[Array, "a step a"]:
    """The rows at step `t` of the Cholesky factor whose rows so far are `factor`, given the kernel's."""
    steps, size = factor.shape[:2]
    done = (jnp.arange(steps) < t)[:, None]
    identity = jnp.eye(steps * size).reshape(factor.shape)
    filled = jnp.where(done[:, :, None, None], factor, identity).reshape(steps * size, -1)
    past = jnp.where(done, kernel, 0.0).reshape(size, -1)
    cross = jax.scipy.linalg.solve_triangular(filled, past.T, lower=True).T
    present = jnp.take(kernel, t, axis=1)
    present = 0.5 * (present + present.T)
    scale = JITTER * jnp.trace(present) / size
    corner = jnp.linalg.cholesky(present - cross @ cross.T + scale * jnp.eye(size))
    return cross.reshape(kernel.shape) + jax.nn.one_hot(t, steps)[:, None] * corner[:, None]
