r"""N Var of observables of a deep network from their adjoints, one layer's sites at a time.

With lambda the adjoint of an observable, x = (u, r) the Gaussian fields of a site of layer l and

$$ Q_l(x) = \sum \lambda_\Phi \phi\phi + \lambda_G g g + \lambda_f \phi z / \gamma + \nabla \cdot v, \qquad
   v_r(s) = \sum_t \lambda_A(t,s) \phi(h(t)), \quad v_u(s) = \sum_t \lambda_B(t,s) g(t), \quad J = dv/dx, $$
$$ N\,\mathrm{Cov} = \sum_l \mathrm{Cov}(Q_l, Q_l') + E[v \cdot \nabla Q_l' + v' \cdot \nabla Q_l]
   + E[\mathrm{tr} J J'] . $$

The last terms come from the responses A and B: an average of a derivative is, after integration by parts,
an average with the noise that the response fields contribute. Divergences and traces are taken with random
signs; derivatives are forward-mode throughout. Products pair independent adjoints, for the square of one
that is sampled is biased upwards. **Source:** Bordelon and Pehlevan, arXiv 2304.03408.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from widthwise.infinite_width.activations import activation_and_slope
from widthwise.infinite_width.deep_step import DeepProcess, LayerDrift, LayerNoise, LayerRows, Past, Rows

Field = tuple[Float[Array, "site step point"], Float[Array, "site step K"]]  # (u, r) or a vector of its kind


class LayerAdjoint(NamedTuple):
    """One observable's lambda for one layer: (step, ...) rows, and that of the outputs at the last layer."""

    rows: LayerRows
    output: Float[Array, "step point output"] | None


class LayerSites(eqx.Module):
    """A layer's sites as functions of their Gaussian fields, the order parameters being given."""

    process: DeepProcess
    drift: LayerDrift  # a leading step axis
    signs: Field

    def run(self, x: Field) -> tuple[Array, Array, Array]:
        """phi (site, step, point), g and z (site, step, K)."""
        act, slope = activation_and_slope(self.process.network)
        u, r = x
        sites, _, points = u.shape
        outputs = r.shape[-1] // points

        def step(known, at):
            phis, gs = known
            t, into_h, into_z, u_t, r_t = at
            h = u_t + gs.reshape(sites, -1) @ into_h.reshape(points, -1).T
            phis = jax.lax.dynamic_update_index_in_dim(phis, act(h), t, 1)
            z = r_t + phis.reshape(sites, -1) @ into_z.reshape(len(into_z), -1).T
            g = jnp.repeat(slope(h), outputs, axis=1) * z
            return (phis, jax.lax.dynamic_update_index_in_dim(gs, g, t, 1)), z

        by_step = (jnp.arange(u.shape[1]), *self.drift, jnp.moveaxis(u, 1, 0), jnp.moveaxis(r, 1, 0))
        (phis, gs), z = jax.lax.scan(step, (jnp.zeros_like(u), jnp.zeros_like(r)), by_step)
        return phis, gs, jnp.moveaxis(z, 0, 1)

    def vector(self, adjoint: LayerAdjoint, x: Field) -> Field:
        """v of every site."""
        phi, g, _ = self.run(x)
        return (
            jnp.einsum("tksm,itk->ism", adjoint.rows.b, g),
            jnp.einsum("tmsk,itm->isk", adjoint.rows.a, phi),
        )

    def push(self, adjoint: LayerAdjoint, x: Field, direction: Field) -> Field:
        """J direction."""
        return jax.jvp(lambda y: self.vector(adjoint, y), (x,), (direction,))[1]

    def charge(self, adjoint: LayerAdjoint, x: Field) -> Float[Array, " site"]:
        """Q of every site, the divergence by one set of signs."""
        phi, g, z = self.run(x)
        rows = adjoint.rows
        value = jnp.einsum("tmsn,itm,isn->i", rows.phi, phi, phi)
        value += jnp.einsum("tksj,itk,isj->i", rows.g, g, g)
        if adjoint.output is not None:
            each = phi[..., None] * z.reshape(*phi.shape, -1)
            value += jnp.einsum("tmc,itmc->i", adjoint.output, each) / self.process.richness
        return value + _dot(self.signs, self.push(adjoint, x, self.signs))


@eqx.filter_jit
def contracted(
    process: DeepProcess,
    solved: tuple[Past, tuple[LayerDrift, ...]],
    noise: tuple[LayerNoise, ...],
    adjoints: tuple[Rows, Rows],
    key: Key[Array, ""],
) -> Float[Array, " observable"]:
    """N Var of each observable, from two independent adjoints and sites independent of both.

    **Arguments:** `solved`, the past and drifts that fix the order parameters; `noise`, of the fresh sites;
    `adjoints`, each with leading axes (observable, step).
    """
    past, drifts = solved
    total = jnp.zeros(len(adjoints[0].output))
    for layer in range(len(noise)):
        x = _fields(process, past, noise[layer], layer)
        keys = jax.random.split(jax.random.fold_in(key, layer), 2)
        left, right = (LayerSites(process, drifts[layer], _signs(k, x)) for k in keys)
        top = layer == len(noise) - 1

        def one(observable, layer=layer, x=x, left=left, right=right, top=top):
            a, b = (
                LayerAdjoint(
                    jax.tree.map(lambda leaf: leaf[observable], rows.layers[layer]),
                    rows.output[observable] if top else None,
                )
                for rows in adjoints
            )
            charge_a, slope_b = jax.jvp(lambda y: right.charge(b, y), (x,), (left.vector(a, x),))
            charge_b, slope_a = jax.jvp(lambda y: left.charge(a, y), (x,), (right.vector(b, x),))
            trace = _dot(right.signs, left.push(a, x, right.push(b, x, right.signs)))
            scatter = (charge_a - jnp.mean(charge_a)) * (charge_b - jnp.mean(charge_b))
            return jnp.mean(scatter + slope_a + slope_b + trace)

        total += jax.lax.map(one, jnp.arange(len(total)))
    return total


def _fields(process: DeepProcess, past: Past, noise: LayerNoise, layer: int) -> Field:
    """u and r of fresh sites of a layer: at the first layer u, at the last r, does not change in time."""
    points = len(process.targets)
    shape = (process.steps, points)
    if layer == 0:
        u = jnp.broadcast_to(noise.u, (len(noise.u), *shape))
    else:
        u = jnp.einsum("tasb,isb->ita", past.layers[layer].factor_u, noise.u)
    if layer == len(past.layers) - 1:
        constant = jnp.tile(noise.r, (1, 1, points))
        r = jnp.broadcast_to(constant, (len(constant), process.steps, constant.shape[-1]))
    else:
        r = jnp.einsum("tasb,isb->ita", past.layers[layer].factor_r, noise.r)
    return u, r


def _signs(key: Key[Array, ""], x: Field) -> Field:
    keys = jax.random.split(key)
    return (
        jax.random.rademacher(keys[0], x[0].shape, x[0].dtype),
        jax.random.rademacher(keys[1], x[1].shape, x[1].dtype),
    )


def _dot(a: Field, b: Field) -> Float[Array, " site"]:
    return jnp.sum(a[0] * b[0], axis=(1, 2)) + jnp.sum(a[1] * b[1], axis=(1, 2))
