r"""Adjoints of the deep pass: how an observable answers to every average over sites, by one reverse pass.

Every average at every step has an additive slot; the derivative with respect to the slots is the solution of
lambda = c + M^T lambda, M being the response of the averages to each other. Within a step it is automatic.
Between steps it is written out, so that no history is stored or rewritten: what a site did at step s was read
later through the drifts, and averaged with what sites did later,

$$ \bar\phi(s) = \sum_{t>s} \bar z(t) D_z(t,s) + \phi(t) \lambda_\Phi(t,s) / S, \qquad
   \bar g(s) = \sum_{t>s} \bar h(t) D_h(t,s) + g(t) \lambda_G(t,s) / S . $$
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from widthwise.infinite_width.causal_pass import no_slots
from widthwise.infinite_width.deep_step import (
    DeepProcess,
    LayerDrift,
    LayerNoise,
    LayerPast,
    Past,
    Rows,
    Taps,
    advance,
)


class Factors(NamedTuple):
    """Of the past, what later steps read in other ways: Cholesky rows of every layer, and outputs."""

    u: tuple[Float[Array, "*observable step point step point"], ...]
    r: tuple[Float[Array, "*observable step K step K"], ...]
    output: Float[Array, "*observable step point output"]


class Later(NamedTuple):
    """Cotangents of steps already passed (in reverse): of the reads, of the averages, of the factors."""

    taps: tuple[Taps, ...]  # (observable, copy, site, step, ...)
    rows: Rows  # lambda: (observable, step, ...)
    factors: Factors


@eqx.filter_jit
def adjoint(
    process: DeepProcess,
    noise: tuple[LayerNoise, ...],
    solved: tuple[Past, tuple[LayerDrift, ...]],
    cotangents: Rows,
) -> Rows:
    """lambda of a batch of observables, given their derivatives with respect to the rows.

    **Arguments:** `solved`, past and drifts of a finished pass with the same `noise`, which has signs;
    `cotangents` with leading axes (observable, step). **Returns:** lambda, of the same shape.
    """
    past, drifts = solved
    slots = no_slots(process)

    def step(later: Later, at: tuple[Int[Array, ""], Rows]):
        t, direct = at
        before, still = _before(past, t), _no_taps(past)

        def local(factors: Factors, slot: Rows, taps: tuple[Taps, ...]):
            return advance(process, _with(before, factors), noise, slot, t, taps)[:2]

        _, pull = jax.vjp(local, _factors(before), slots, still)
        entries = _entries(past, drifts, later, t)
        earlier, answer, taps = jax.vmap(pull)((entries, direct))
        factors = jax.tree.map(jnp.add, later.factors, earlier)
        write = jax.lax.dynamic_update_index_in_dim
        taps = jax.tree.map(lambda all_steps, one: write(all_steps, one, t, 3), later.taps, taps)
        rows = jax.tree.map(lambda all_steps, one: write(all_steps, one, t, 1), later.rows, answer)
        return Later(taps, rows, factors), None

    count = len(cotangents.output)
    nothing = Later(
        tuple(
            Taps(*(jnp.zeros((count, *leaf.shape), leaf.dtype) for leaf in (layer.phi, layer.g)))
            for layer in past.layers
        ),
        jax.tree.map(jnp.zeros_like, cotangents),
        jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape)), _factors(past)),
    )
    by_step = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), cotangents)
    return jax.lax.scan(step, nothing, (jnp.arange(process.steps), by_step), reverse=True)[0].rows


def _before(past: Past, t: Int[Array, ""]) -> Past:
    """The past as step `t` found it."""
    done = jnp.arange(len(past.output)) < t
    layers = []
    for layer in past.layers:
        phi, g = (jnp.where(done[:, None], leaf, 0.0) for leaf in layer[:2])
        u, r = (jnp.where(done[:, None, None, None], leaf, 0.0) for leaf in layer[4:])
        layers.append(LayerPast(phi, g, None, None, u, r))
    return Past(tuple(layers), jnp.where(done[:, None, None], past.output, 0.0))


def _factors(past: Past) -> Factors:
    layers = past.layers
    return Factors(
        tuple(each.factor_u for each in layers), tuple(each.factor_r for each in layers), past.output
    )


def _with(past: Past, factors: Factors) -> Past:
    pairs = zip(past.layers, factors.u, factors.r, strict=True)
    return Past(tuple(each._replace(factor_u=u, factor_r=r) for each, u, r in pairs), factors.output)


def _no_taps(past: Past) -> tuple[Taps, ...]:
    return tuple(
        Taps(jnp.zeros_like(each.phi[:, :, 0]), jnp.zeros_like(each.g[:, :, 0])) for each in past.layers
    )


def _entries(past: Past, drifts: tuple[LayerDrift, ...], later: Later, t: Int[Array, ""]) -> Past:
    """Cotangents of what step `t` wrote, one for each observable."""
    layers = []
    for index, (known, drift) in enumerate(zip(past.layers, drifts, strict=True)):
        taps, rows = later.taps[index], later.rows.layers[index]
        u, r = (jnp.take(each[index], t, axis=1) for each in (later.factors.u, later.factors.r))
        phi = _read_later(jnp.asarray(taps.z), drift.z, t) + _averaged_later(known.phi[0], rows.phi, t)
        g = _read_later(jnp.asarray(taps.h), drift.h, t) + _averaged_later(known.g[0], rows.g, t)
        layers.append(LayerPast(phi, g, None, None, u, r))
    return Past(tuple(layers), jnp.take(later.factors.output, t, axis=1))


def _read_later(
    taps: Float[Array, "observable copy site step a"], drift: Float[Array, "step a step b"], t: Int[Array, ""]
) -> Float[Array, "observable copy site b"]:
    """sum_(s > t) tap(s) D(s, t); D is zero for s < t, and the tap of s = t is not written yet."""
    weights = jnp.take(drift, t, axis=2).astype(taps.dtype)
    return taps.reshape(*taps.shape[:3], -1) @ weights.reshape(-1, weights.shape[-1])


def _averaged_later(
    values: Float[Array, "site step a"], rows: Float[Array, "observable step a step b"], t: Int[Array, ""]
) -> Float[Array, "observable copy site b"]:
    """sum_(s > t) value(s) lambda(s, t) / S, of the value alone: tangents are averaged with signs only."""
    sites, count, size = len(values), len(rows), rows.shape[-1]
    weights = (jnp.take(rows, t, axis=3).reshape(count, -1, size) / sites).astype(values.dtype)
    found = values.reshape(sites, -1) @ jnp.moveaxis(weights, 0, 1).reshape(-1, count * size)
    found = jnp.moveaxis(found.reshape(sites, count, size), 1, 0)
    return jnp.pad(found[:, None], [(0, 0), (0, 2), (0, 0), (0, 0)])
