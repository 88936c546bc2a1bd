import dataclasses

import equinox as eqx
import finite_network
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from perceptrons import initialize, predict
from scipy import stats

from widthwise.networks import preactivations, probe
from widthwise.study import NetworkSettings

ACTIVATIONS = ["linear", "relu", "tanh", "erf", "gelu", "softplus"]
SIZES = (5, 7, 2)  # dimension, width, outputs: all different
POINTS = 4


def network(activation="tanh", layers=2):
    return NetworkSettings(
        hidden_layers=layers, activation=activation, activation_scale=0.7, activation_gain=1.3, richness=1.7
    )


def model_and_inputs(key, settings):
    with jax.enable_x64(True):
        model = initialize(key, settings, SIZES, jnp.float64)
        return model, jax.random.normal(jax.random.fold_in(key, 1), (POINTS, SIZES[0]), jnp.float64)


def arrays(model):
    return [np.asarray(w) for w in (*model.hidden, model.readout)]


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_predictions_and_kernels_are_those_of_the_numpy_twin(key, activation, layers):
    settings = network(activation, layers)
    model, inputs = model_and_inputs(key, settings)
    with jax.enable_x64(True):
        probed = eqx.filter_jit(probe)(model, inputs)
    feature, gradient, tangent = finite_network.kernels(arrays(model), settings, np.asarray(inputs))
    outputs = [finite_network.output(arrays(model), settings, x) for x in np.asarray(inputs)]
    np.testing.assert_allclose(probed.prediction, outputs, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(probed.feature_kernel, feature, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(probed.gradient_kernel, gradient, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(probed.tangent_kernel, tangent, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("layers", [1, 3])
def test_tangent_kernel_is_the_mean_diagonal_block_of_the_automatic_jacobian(key, layers):
    settings = network(layers=layers)
    model, inputs = model_and_inputs(key, settings)
    with jax.enable_x64(True):
        slopes = jax.tree.leaves(jax.jacrev(lambda m: predict(m, inputs))(model))
        rows = jnp.concatenate([s.reshape(POINTS, SIZES[2], -1) for s in slopes], axis=-1)
        expected = settings.richness**2 * SIZES[1] * jnp.einsum("mcw,ncw->mn", rows, rows) / SIZES[2]
        np.testing.assert_allclose(probe(model, inputs).tangent_kernel, expected, rtol=1e-12)


def test_predict_and_probe_agree(key):
    model, inputs = model_and_inputs(key, network(layers=3))
    with jax.enable_x64(True):
        np.testing.assert_allclose(predict(model, inputs), probe(model, inputs).prediction, rtol=1e-14)


def test_weights_are_standard_normal_and_independent_of_the_rest(key):
    """Kolmogorov-Smirnov, false-alarm rate 1e-6; a spread wrong by 3 % in any tensor would be seen."""
    model = initialize(key, network(layers=2), (300, 400, 100))
    for tensor, shape in zip(
        (*model.hidden, model.readout), [(400, 300), (400, 400), (100, 400)], strict=True
    ):
        assert tensor.shape == shape
        values = np.asarray(tensor).ravel()
        critical = stats.kstwo.isf(1e-6, values.size)
        assert stats.kstest(values, "norm").statistic < critical
        # A spread wrong by 3 % moves the distribution function by up to 0.03 * 0.242.
        assert critical / 2 < 0.03 * 0.242, "too few weights to see that"
    flat = np.concatenate([np.asarray(t).ravel() for t in (*model.hidden, model.readout)])
    assert np.unique(flat).size > 0.9 * flat.size, "tensors share their draws"


def test_kernels_are_of_order_one_in_width(key):
    """Eight times the width changes the norm of every kernel by less than a factor of 1.5."""
    inputs = jax.random.normal(jax.random.fold_in(key, 1), (3, 6))
    inputs = inputs / jnp.linalg.norm(inputs, axis=1, keepdims=True) * jnp.sqrt(6.0)
    narrow, wide = (probe(initialize(key, network(layers=2), (6, n, 2)), inputs) for n in (64, 512))
    for kernel in ("feature_kernel", "gradient_kernel", "tangent_kernel"):
        ratio = np.linalg.norm(getattr(wide, kernel)) / np.linalg.norm(getattr(narrow, kernel))
        assert 1 / 1.5 < ratio < 1.5, kernel


def test_preactivations_are_one_array_a_layer(key):
    model, inputs = model_and_inputs(key, network(layers=3))
    with jax.enable_x64(True):
        fields = preactivations(model, inputs)
    assert [h.shape for h in fields] == [(POINTS, SIZES[1])] * 3


def test_permuting_points_permutes_predictions_and_kernels(key):
    model, inputs = model_and_inputs(key, network(layers=3))
    order = np.array([2, 0, 3, 1])
    with jax.enable_x64(True):
        plain, permuted = probe(model, inputs), probe(model, inputs[order])
    np.testing.assert_allclose(permuted.prediction, plain.prediction[order], rtol=1e-13)
    for name in ("feature_kernel", "gradient_kernel", "tangent_kernel"):
        expected = getattr(plain, name)[..., order, :][..., order]
        np.testing.assert_allclose(getattr(permuted, name), expected, rtol=1e-12, atol=1e-14)


def test_permuting_neurons_changes_nothing_outside(key):
    model, inputs = model_and_inputs(key, network(layers=2))
    with jax.enable_x64(True):
        order = jax.random.permutation(key, SIZES[1])
        first, second = model.hidden
        other = dataclasses.replace(model, hidden=(first[order], second[:, order]))
        for plain, permuted in zip(probe(model, inputs), probe(other, inputs), strict=True):
            np.testing.assert_allclose(permuted, plain, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_kernel_is_symmetric_and_positive_semi_definite(key, activation):
    model, inputs = model_and_inputs(key, network(activation, layers=3))
    with jax.enable_x64(True):
        probed = eqx.filter_jit(probe)(model, inputs)
    for kernel in (*probed.feature_kernel, *probed.gradient_kernel, probed.tangent_kernel):
        np.testing.assert_allclose(kernel, kernel.T, rtol=1e-13, atol=1e-15)
        assert np.linalg.eigvalsh(kernel).min() > -1e-12 * np.trace(kernel)
