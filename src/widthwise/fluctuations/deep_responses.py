r"""The part of N Cov that contains J = dv/dx: what fluctuations of the responses A and B add.

$$ \mathrm{Cov}(Q, \nabla \cdot v') + \mathrm{Cov}(\nabla \cdot v, Q')
   + \mathrm{Cov}(\nabla \cdot v, \nabla \cdot v')
   + E[v \cdot \nabla (\nabla \cdot v') + v' \cdot \nabla (\nabla \cdot v)] + E[\mathrm{tr} J J'] $$

It is small, and varies little between sites, but a random probe of a trace of J varies much, for the adjoints
are rough in time: so J is formed, on few sites. Symbols as in `layer_sites`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from widthwise.fluctuations.correction_memory import CHUNK, quadratic_sites
from widthwise.fluctuations.layer_sites import Activity, Fields, LayerAdjoint, LayerSites, charge, vector


class Jacobian(NamedTuple):
    """Tangents of the sites along every entry of u and of r, which lead; None where v has no such part."""

    u: Activity | None
    r: Activity | None


def response_part(
    sites: LayerSites, x: Fields, left: LayerAdjoint, right: LayerAdjoint, *, of_u: bool, of_r: bool
) -> Float[Array, "left right"]:
    """The sum above, between observables of `left` and of `right`, averaged over the sites `x`.

    Terms that exchange the two are counted twice instead: symmetrize over the observables.
    """
    if not (of_u or of_r):
        return jnp.zeros((len(left.rows.phi), len(right.rows.phi)))

    def linear(few: Fields) -> tuple[list[Array], list[Array]]:
        done, jacobian = sites.run(few), _jacobian(sites, few, of_u, of_r)
        charges = [charge(sites.process, done, each) for each in (left, right)]
        return charges, [_divergence(jacobian, each) for each in (left, right)]

    def quadratic(few: Fields) -> Float[Array, "left right"]:
        done, jacobian = sites.run(few), _jacobian(sites, few, of_u, of_r)

        def flow(observable: Array) -> Float[Array, " right"]:
            direction = vector(done, left.only(observable))
            moved = jax.jvp(
                lambda y: _divergence(_jacobian(sites, y, of_u, of_r), right), (few,), (direction,)
            )[1]
            return jnp.mean(moved, axis=1)

        return 2 * jax.lax.map(flow, jnp.arange(len(left.rows.phi))) + _trace(jacobian, left, right)

    charges, divergences = jax.lax.map(linear, _chunks(x, 1))
    (q_a, q_b), (d_a, d_b) = ([_joined(each) for each in both] for both in (charges, divergences))
    enough = quadratic_sites(x[1][0].size)
    rest = jax.lax.map(quadratic, _chunks(x, max(1, len(x[0]) // enough)))
    return covariance(q_a + d_a, q_b + d_b) - covariance(q_a, q_b) + jnp.mean(rest, axis=0)


def _chunks(x: Fields, stride: int) -> tuple[Array, Array]:
    """(chunk, site, ...) of every so many sites."""
    whole = len(x[0]) // stride // CHUNK * CHUNK
    u, r = (leaf[::stride][:whole].reshape(-1, CHUNK, *leaf.shape[1:]) for leaf in x)
    return u, r


def covariance(a: Float[Array, "left site"], b: Float[Array, "right site"]) -> Float[Array, "left right"]:
    """Over sites."""
    return (a - a.mean(axis=1, keepdims=True)) @ (b - b.mean(axis=1, keepdims=True)).T / a.shape[1]


def _joined(chunks: Float[Array, "chunk observable site"]) -> Float[Array, "observable all_sites"]:
    return jnp.moveaxis(chunks, 1, 0).reshape(chunks.shape[1], -1)


def _jacobian(sites: LayerSites, x: Fields, of_u: bool, of_r: bool) -> Jacobian:
    u, r = x

    def along(field: Array, place) -> Activity:
        units = jnp.eye(field[0].size).reshape(-1, *field.shape[1:])
        return jax.vmap(lambda unit: sites.push(x, place(jnp.broadcast_to(unit, field.shape))))(units)

    return Jacobian(
        along(u, lambda unit: (unit, jnp.zeros_like(r))) if of_u else None,
        along(r, lambda unit: (jnp.zeros_like(u), unit)) if of_r else None,
    )


def _divergence(jacobian: Jacobian, adjoint: LayerAdjoint) -> Float[Array, "observable site"]:
    """tr J."""
    parts = []
    if jacobian.u is not None:
        parts.append(jnp.einsum("oyx,xiy->oi", _flat(adjoint.rows.b), _read(jacobian.u.g)))
    if jacobian.r is not None:
        parts.append(jnp.einsum("oyx,xiy->oi", _flat(adjoint.rows.a), _read(jacobian.r.phi)))
    return sum(parts[1:], parts[0])


def _trace(jacobian: Jacobian, left: LayerAdjoint, right: LayerAdjoint) -> Float[Array, "left right"]:
    """E[tr J J']: J has rows v_u and v_r, columns u and r."""
    kinds = [kind for kind in ("u", "r") if getattr(jacobian, kind) is not None]

    def block(adjoint: LayerAdjoint, row: str, column: str) -> Float[Array, "observable site x_row x_column"]:
        tangent = getattr(jacobian, column)
        weights = _flat(adjoint.rows.b if row == "u" else adjoint.rows.a)
        return jnp.einsum("oyx,qiy->oixq", weights, _read(tangent.g if row == "u" else tangent.phi))

    total = 0.0
    for row in kinds:
        for column in kinds:
            there, back = block(left, row, column), block(right, column, row)
            total += jnp.einsum("oixq,piqx->op", there, back) / there.shape[1]
    return jnp.asarray(total)


def _flat(weights: Float[Array, "observable step a step b"]) -> Float[Array, "observable y x"]:
    """Entries (t, a) of what is read against entries (s, b) of the Gaussians."""
    count, steps, a, _, b = weights.shape
    return weights.reshape(count, steps * a, steps * b)


def _read(tangent: Float[Array, "x site step a"]) -> Float[Array, "x site y"]:
    return tangent.reshape(*tangent.shape[:2], -1)
