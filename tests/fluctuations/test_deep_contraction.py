"""N Cov of one layer's sites, written out densely: every term of the formula by itself, to rounding.

The solver never forms most of what stands here. Random adjoints, so that no term is small by chance; a factor
wrong by 1e-6 anywhere in the contraction is seen.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from widthwise.data import Points
from widthwise.fluctuations.deep_contraction import contracted
from widthwise.fluctuations.layer_sites import fresh_fields
from widthwise.infinite_width.causal_pass import causal_pass, deep_noise, deep_process, no_slots
from widthwise.study import NetworkSettings, Study, TrainingSettings

STEPS, SITES, OBSERVABLES = 3, 16, 3
OUTPUTS = 2


@pytest.fixture(scope="module")
def layers():
    """Two tanh layers, two points and outputs: the process, what its pass gave, and random adjoints."""
    rng = np.random.default_rng(4)
    points = Points(rng.standard_normal((2, 3)), rng.standard_normal((2, OUTPUTS)), 1)
    study = Study(
        name="dense",
        network=NetworkSettings(hidden_layers=2, richness=1.7, activation_scale=0.8),
        training=TrainingSettings(steps=STEPS, learning_rate=0.3),
    )
    with jax.enable_x64(True):
        process = deep_process(study, points)
        # Of many sites, so that kernels of few steps are not singular.
        past, _, drifts = causal_pass(process, deep_noise(process, 64, (0,)))
        noise = jax.tree.map(lambda leaf: leaf[:SITES], deep_noise(process, 64, (1,)))
        rows = _random_rows(process, np.random.default_rng(5))
    return process, (past, drifts), noise, rows


def _random_rows(process, rng):
    """lambda of three observables, causal as the responses are; the outer layers have fewer of them."""
    rows = jax.tree.map(
        lambda leaf: jnp.asarray(rng.standard_normal((OBSERVABLES, STEPS, *leaf.shape))), no_slots(process)
    )
    t, s = np.arange(STEPS)[:, None], np.arange(STEPS)
    before, until = (jnp.asarray(mask)[None, :, None, :, None] for mask in (s < t, s <= t))
    below, top = (each._replace(a=each.a * before, b=each.b * until) for each in rows.layers)
    below, top = below._replace(b=0 * below.b), top._replace(a=0 * top.a)
    return rows._replace(layers=(below, top))


def dense(process, drift, x, adjoint, top):
    """E over sites of the six terms, from per-site functions of the 18 Gaussians alone."""
    u, r = x
    rows, _ = adjoint
    shape_u, shape_r = u.shape[1:], r.shape[1:]
    size = int(np.prod(shape_u))
    flat = jnp.concatenate([u.reshape(len(u), -1), r.reshape(len(r), -1)], axis=1)

    def site(y):
        """phi, g and z at every step."""
        fields, draws = y[:size].reshape(shape_u), y[size:].reshape(shape_r)
        phis, gs, zs = [], [], []
        for t in range(STEPS):
            h = fields[t] + sum(drift.h[t][:, s] @ gs[s] for s in range(t))
            phis.append(jnp.tanh(0.8 * h) / 0.8)
            zs.append(draws[t] + sum(drift.z[t][:, s] @ phis[s] for s in range(t + 1)))
            gs.append(jnp.repeat(1 - jnp.tanh(0.8 * h) ** 2, OUTPUTS) * zs[t])
        return jnp.stack(phis), jnp.stack(gs), jnp.stack(zs)

    def charge(y, rows, output):
        phi, g, z = site(y)
        total = jnp.einsum("tasb,ta,sb", rows.phi, phi, phi) + jnp.einsum("tasb,ta,sb", rows.g, g, g)
        if top:
            total += jnp.einsum("tpc,tp,tpc", output, phi, z.reshape(*phi.shape, OUTPUTS)) / process.richness
        return total

    def vector(y, rows):
        phi, g, _ = site(y)
        of_u, of_r = jnp.einsum("tksm,tk->sm", rows.b, g), jnp.einsum("tmsk,tm->sk", rows.a, phi)
        return jnp.concatenate([of_u.ravel(), of_r.ravel()])

    def whole(y, rows, output):
        """Q + div v."""
        return charge(y, rows, output) + jnp.trace(jax.jacfwd(vector)(y, rows))

    @jax.jit
    @jax.vmap
    def pairs(y):
        """Of every pair of observables: both Q + div v, and the terms that are products within a site."""
        values, slopes = jax.vmap(lambda each: jax.value_and_grad(whole)(y, *each))(adjoint)
        vectors = jax.vmap(lambda each: vector(y, each))(rows)
        jacobians = jax.vmap(lambda each: jax.jacfwd(vector)(y, each))(rows)
        both = vectors @ slopes.T
        return values, both + both.T + jnp.einsum("axy,byx->ab", jacobians, jacobians)

    values, rest = pairs(flat)
    return jnp.cov(values.T, ddof=0) + jnp.mean(rest, axis=0)


def test_the_contraction_is_the_formula_written_out(layers):
    process, (past, drifts), noise, rows = layers
    with jax.enable_x64(True):
        found = np.asarray(contracted(process, (past, drifts), noise, (rows, rows)))
        expected = np.zeros_like(found)
        for layer in range(2):
            x = fresh_fields(process, past, noise[layer], layer)
            expected += dense(process, drifts[layer], x, (rows.layers[layer], rows.output), layer == 1)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())
