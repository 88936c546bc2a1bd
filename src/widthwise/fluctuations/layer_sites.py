r"""The sites of one layer, the order parameters being given: what they do, what an adjoint reads off them.

With lambda the adjoint of an observable and x = (u, r) the Gaussian fields of a site,

$$ Q(x) = \sum \lambda_\Phi \phi\phi + \lambda_G g g + \lambda_f \phi z / \gamma, \qquad
   v_r(s) = \sum_t \lambda_A(t,s) \phi(h(t)), \quad v_u(s) = \sum_t \lambda_B(t,s) g(t) . $$
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from widthwise.infinite_width.deep_step import DeepProcess, LayerDrift, LayerNoise, LayerRows, Past

Fields = tuple[Float[Array, "site step point"], Float[Array, "site step K"]]  # (u, r), or a vector along them


class LayerAdjoint(NamedTuple):
    """lambda of the observables for one layer, (observable, step, ...); of the outputs at the last layer."""

    rows: LayerRows
    output: Float[Array, "observable step point output"] | None

    def only(self, observable: Array) -> "LayerAdjoint":
        """That of one observable, without its axis."""
        return jax.tree.map(lambda leaf: leaf[observable], self)


class Activity(NamedTuple):
    """What a layer's sites do, or a tangent of it."""

    phi: Float[Array, "site step point"]
    g: Float[Array, "site step K"]
    z: Float[Array, "site step K"]


class LayerSites(eqx.Module):
    """A layer's sites as functions of their Gaussian fields."""

    process: DeepProcess
    drift: LayerDrift  # a leading step axis

    def run(self, x: Fields) -> Activity:
        """What sites with these fields do."""
        activation = self.process.activation
        u, r = x
        sites, _, points = u.shape
        outputs = r.shape[-1] // points

        def step(known, at):
            phis, gs = known
            t, into_h, into_z, u_t, r_t = at
            h = u_t + gs.reshape(sites, -1) @ into_h.reshape(points, -1).T
            phis = jax.lax.dynamic_update_index_in_dim(phis, activation.value(h), t, 1)
            z = r_t + phis.reshape(sites, -1) @ into_z.reshape(len(into_z), -1).T
            g = jnp.repeat(activation.slope(h), outputs, axis=1) * z
            return (phis, jax.lax.dynamic_update_index_in_dim(gs, g, t, 1)), z

        by_step = (jnp.arange(u.shape[1]), *self.drift, jnp.moveaxis(u, 1, 0), jnp.moveaxis(r, 1, 0))
        (phis, gs), z = jax.lax.scan(step, (jnp.zeros_like(u), jnp.zeros_like(r)), by_step)
        return Activity(phis, gs, jnp.moveaxis(z, 0, 1))

    def push(self, x: Fields, direction: Fields) -> Activity:
        """The tangent of `run` along a direction."""
        return jax.jvp(self.run, (x,), (direction,))[1]


def fresh_fields(process: DeepProcess, past: Past, noise: LayerNoise, layer: int) -> Fields:
    """u and r of fresh sites of a layer: at the first layer u, at the last r, does not change in time."""
    points, steps = len(process.targets), process.steps
    u, r = noise.u, noise.r
    if layer == 0:
        u = jnp.broadcast_to(u, (len(u), steps, points))
    else:
        u = jnp.einsum("tasb,isb->ita", past.layers[layer].factor_u, u)
    if layer == len(past.layers) - 1:
        r = jnp.tile(r, (1, steps, points))
    else:
        r = jnp.einsum("tasb,isb->ita", past.layers[layer].factor_r, r)
    return u, r


def charge(process: DeepProcess, done: Activity, adjoint: LayerAdjoint) -> Float[Array, "observable site"]:
    """Q of every site."""
    return 0.5 * charge_slope(process, done, done, adjoint)


def charge_slope(
    process: DeepProcess, done: Activity, tangent: Activity, adjoint: LayerAdjoint
) -> Float[Array, "observable site"]:
    """The derivative of Q along a tangent of what the sites do, in which Q is quadratic."""
    rows = adjoint.rows
    slope = _both(rows.phi, done.phi, tangent.phi) + _both(rows.g, done.g, tangent.g)
    if adjoint.output is not None:
        for phi, z in ((done.phi, tangent.z), (tangent.phi, done.z)):
            each = phi[..., None] * z.reshape(*phi.shape, -1)
            slope += jnp.einsum("otmc,itmc->oi", adjoint.output, each) / process.richness
    return slope


def _both(
    kernel: Float[Array, "observable step a step a"],
    value: Float[Array, "site step a"],
    moved: Float[Array, "site step a"],
) -> Float[Array, "observable site"]:
    """value . (kernel + kernel^T) moved."""
    size = value[0].size
    flat, value, moved = kernel.reshape(-1, size, size), value.reshape(-1, size), moved.reshape(-1, size)

    def one(matrix):
        return jnp.sum((value @ (matrix + matrix.T)) * moved, axis=1)

    return jax.lax.map(one, flat)


def vector(done: Activity, adjoint: LayerAdjoint) -> Fields:
    """v of every site, for one observable."""
    return (
        jnp.einsum("tksm,itk->ism", adjoint.rows.b, done.g),
        jnp.einsum("tmsk,itm->isk", adjoint.rows.a, done.phi),
    )
