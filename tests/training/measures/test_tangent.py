"""The blocked tangent kernel against Jacobians written out, the perceptron's own, and its memory estimate."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from perceptrons import initialize, predict

from widthwise.errors import InputError
from widthwise.networks import probe
from widthwise.study import NetworkSettings
from widthwise.training.measures.tangent import (
    backward_passes,
    choose_block,
    tangent_kernel,
    tangent_kernel_bytes,
)

SIZES = (4, 7, 3)  # dimension, width, outputs: all different
POINTS = 5
GAMMA = 1.4


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def model_and_inputs(key, layers=2):
    settings = NetworkSettings(hidden_layers=layers, activation_scale=0.7, richness=GAMMA)
    model = initialize(key, settings, SIZES, jnp.float64)
    return model, jax.random.normal(jax.random.fold_in(key, 1), (POINTS, SIZES[0]), jnp.float64)


def kernel_of(output_of, weights, rates, inputs, **options):
    return jax.jit(lambda w, r, x: tangent_kernel(output_of, w, r, x, **options))(weights, rates, inputs)


def written_out(output_of, weights, rates, inputs):
    """mean_c sum_g J_g diag(r_g) J_g^T from the whole Jacobian."""
    jacobians = jax.jit(jax.jacrev(lambda w: output_of(w, inputs)))(weights)
    total = 0.0
    for slope, weight, rate in zip(*map(jax.tree.leaves, (jacobians, weights, rates)), strict=True):
        rows = np.asarray(slope).reshape(*slope.shape[:2], -1)
        each = np.broadcast_to(rate, weight.shape).reshape(-1)
        total = total + np.einsum("mci,i,nci->mn", rows, each, rows) / rows.shape[1]
    return total


def normalized(weights, inputs):
    """Outputs that depend on all points, as behind batch normalization."""
    field = inputs @ weights["first"]
    field = (field - field.mean(0)) / jnp.sqrt(field.var(0) + 0.1)
    return jnp.tanh(field) @ weights["second"]


def coupled_weights(key):
    one, two = jax.random.split(key)
    return {"first": jax.random.normal(one, (4, 6)), "second": jax.random.normal(two, (6, 2))}


@pytest.mark.parametrize("coupled", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
def test_is_the_perceptrons_own_with_its_rates(key, layers, coupled):
    model, inputs = model_and_inputs(key, layers)
    rates = jax.tree.map(lambda w: jnp.asarray(GAMMA**2 * SIZES[1]), model)
    found = kernel_of(predict, model, rates, inputs, block=POINTS, coupled=coupled)
    np.testing.assert_allclose(found, probe(model, inputs).tangent_kernel, rtol=1e-11)


@pytest.mark.parametrize("block", [1, 2, 3, 4, 5, 9])
def test_the_block_does_not_matter(key, block):
    model, inputs = model_and_inputs(key)
    rates = jax.tree.map(lambda w: jnp.asarray(0.1 * w.size), model)
    found = kernel_of(predict, model, rates, inputs, block=block, coupled=False)
    np.testing.assert_allclose(found, written_out(predict, model, rates, inputs), rtol=1e-11)
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize("block", [3, 5])
def test_points_that_see_each_other_need_the_whole_batch(key, block):
    weights, inputs = coupled_weights(key), jax.random.normal(jax.random.fold_in(key, 1), (POINTS, 4))
    rates = {"first": jnp.asarray(0.3), "second": jnp.abs(weights["second"])}
    expected = written_out(normalized, weights, rates, inputs)
    found = kernel_of(normalized, weights, rates, inputs, block=block)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)
    apart = kernel_of(normalized, weights, rates, inputs, block=block, coupled=False)
    assert np.abs(apart - expected).max() > 0.1 * np.abs(expected).max()


def test_permuting_points_permutes_the_kernel(key):
    model, inputs = model_and_inputs(key)
    rates = jax.tree.map(lambda w: jnp.ones(()), model)
    order = np.array([3, 0, 4, 1, 2])
    plain = kernel_of(predict, model, rates, inputs, block=2)
    shuffled = kernel_of(predict, model, rates, inputs[order], block=2)
    np.testing.assert_allclose(shuffled, plain[order][:, order], rtol=1e-12)


def test_rescaling_a_tensor_and_its_rate_changes_nothing(key):
    model, inputs = model_and_inputs(key)
    rates = jax.tree.map(lambda w: jnp.asarray(0.1 * w.size), model)
    scales = jax.tree.unflatten(jax.tree.structure(model), [jnp.asarray(s) for s in (3.0, 0.2, 1.7)])

    def rescaled(m, x):
        return predict(jax.tree.map(jnp.divide, m, scales), x)

    larger, faster = (
        jax.tree.map(jnp.multiply, model, scales),
        jax.tree.map(lambda r, s: r * s**2, rates, scales),
    )
    found = kernel_of(rescaled, larger, faster, inputs, block=2)
    np.testing.assert_allclose(found, kernel_of(predict, model, rates, inputs, block=2), rtol=1e-11)


@pytest.mark.parametrize("coupled", [True, False])
@pytest.mark.parametrize("block", [4, 8, 24])
def test_the_compiled_program_keeps_to_the_estimate(key, block, coupled):
    """Temporary memory as XLA plans it, which may hold the gradients of one tensor after another."""
    points, sizes = 24, (8, 96, 3)
    model = initialize(key, NetworkSettings(hidden_layers=3), sizes, jnp.float64)
    parameters = sum(w.size for w in jax.tree.leaves(model))
    rates = jax.tree.map(lambda w: jnp.ones(()), model)
    program = jax.jit(lambda w, x: tangent_kernel(predict, w, rates, x, block=block, coupled=coupled))
    planned = program.lower(model, jnp.ones((points, 8))).compile().memory_analysis().temp_size_in_bytes
    estimate = tangent_kernel_bytes(parameters, points, 3, block, 8)
    # One forward and backward pass: three layers and three outputs, at all points.
    passing = 8 * points * 96 * 3 * 8
    assert 0.2 * estimate < planned < estimate + passing


@pytest.mark.parametrize("block", [16, 256])
def test_kernels_of_many_points_keep_to_the_estimate(key, block):
    """Few weights, so that kernels take more than gradients do."""
    points, sizes = 256, (8, 4, 1)
    model = initialize(key, NetworkSettings(), sizes, jnp.float64)
    parameters = sum(w.size for w in jax.tree.leaves(model))
    rates = jax.tree.map(lambda w: jnp.ones(()), model)
    program = jax.jit(lambda w, x: tangent_kernel(predict, w, rates, x, block=block, coupled=False))
    planned = program.lower(model, jnp.ones((points, 8))).compile().memory_analysis().temp_size_in_bytes
    passing, kernel = 8 * points * 4 * 3, 8 * points**2
    assert kernel < planned < tangent_kernel_bytes(parameters, points, 1, block, 8) + passing


def test_passes_are_as_many_as_are_made(key):
    """Counted at run time, by a callback in the backward pass."""
    model, inputs = model_and_inputs(key)
    counted = []

    @jax.custom_vjp
    def seen(x):
        return x

    def backward(_, cotangent):
        jax.debug.callback(lambda _: counted.append(1), cotangent)
        return (cotangent,)

    seen.defvjp(lambda x: (x, None), backward)
    rates = jax.tree.map(lambda w: jnp.ones(()), model)
    for block in (2, 4, 5):
        counted.clear()
        kernel_of(lambda m, x: seen(predict(m, x)), model, rates, inputs, block=block).block_until_ready()
        jax.effects_barrier()
        assert len(counted) == backward_passes(POINTS, SIZES[2], block)


def test_the_block_fills_the_budget():
    sizes = (10_000, 64, 10)
    assert choose_block(*sizes, budget=10**9) == 64
    for budget in (3 * 10**5, 10**6, 4 * 10**6):
        block = choose_block(*sizes, budget=budget)
        assert 2 <= block < 64
        assert tangent_kernel_bytes(*sizes, block) <= budget < tangent_kernel_bytes(*sizes, block + 2)
    assert choose_block(5, 1, 1, budget=10**4) == 1


def test_what_cannot_fit_is_refused_with_numbers():
    with pytest.raises(InputError, match=r"64 points and 1000000000 weights needs 12 GB.*1 GB may be used"):
        choose_block(10**9, 64, 10, budget=10**9)
