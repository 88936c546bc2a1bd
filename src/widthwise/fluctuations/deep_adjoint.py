"""Adjoints of the deep pass: how an observable answers to every average over sites, by one reverse pass.

Every average at every step has an additive slot; the derivative with respect to the slots is the solution of
lambda = c + M^T lambda, M being the response of the averages to each other. The past is written once, so the
reverse pass reads the final past, cut off at each step, and stores no history.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from widthwise.infinite_width.deep import no_slots
from widthwise.infinite_width.deep_step import DeepProcess, LayerNoise, LayerPast, Past, Rows, advance


@eqx.filter_jit
def adjoint(process: DeepProcess, noise: tuple[LayerNoise, ...], past: Past, cotangents: Rows) -> Rows:
    """lambda of a batch of observables, given their derivatives with respect to the rows.

    **Arguments:** `past`, of a finished `sweep` with the same `noise`; `cotangents` with leading axes
    (observable, step). **Returns:** lambda, of the same shape. Costs about four sweeps for the first
    observable of a batch and two for each more.
    """
    slots = no_slots(process)

    def step(passed, at):
        t, direct = at
        _, pull = jax.vjp(
            lambda known, slot: advance(process, known, noise, slot, t)[:2], _before(past, t), slots
        )
        earlier, answer = jax.vmap(pull)((jax.vmap(lambda p: _entries(p, t))(passed), direct))
        return jax.tree.map(jnp.add, passed, earlier), answer

    count = len(cotangents.output)
    nothing = jax.tree.map(lambda leaf: jnp.zeros((count, *leaf.shape), leaf.dtype), past)
    by_step = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, 0), cotangents)
    _, answers = jax.lax.scan(step, nothing, (jnp.arange(process.steps), by_step), reverse=True)
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1), answers)


def _before(past: Past, t: Int[Array, ""]) -> Past:
    """The past as step `t` found it."""
    done = jnp.arange(len(past.output)) < t
    layers = []
    for layer in past.layers:
        fields = (jnp.where(done[:, None], leaf, 0.0) for leaf in layer[:6])
        factors = (jnp.where(done[:, None, None, None], leaf, 0.0) for leaf in layer[6:])
        layers.append(LayerPast(*fields, *factors))
    return Past(tuple(layers), jnp.where(done[:, None, None], past.output, 0.0))


def _entries(past: Past, t: Int[Array, ""]) -> Past:
    """What step `t` wrote."""
    layers = []
    for layer in past.layers:
        fields = (jnp.take(leaf, t, axis=1) for leaf in layer[:6])
        factors = (jnp.take(leaf, t, axis=0) for leaf in layer[6:])
        layers.append(LayerPast(*fields, *factors))
    return Past(tuple(layers), jnp.take(past.output, t, axis=0))
