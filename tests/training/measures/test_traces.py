"""What is measured of a forward pass, for layers with and without positions; scales of tensors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from perceptrons import initialize, predict

from widthwise.data import open_stream
from widthwise.networks import activation, preactivations, probe
from widthwise.networks.trace import Layer, Trace
from widthwise.records.schema import QUANTILE_LEVELS
from widthwise.study import NetworkSettings, Study
from widthwise.training.labels import record_labels
from widthwise.training.measures.traces import (
    feature_kernels,
    first_attention,
    forward_change_rms,
    forward_rms,
    preactivation_quantiles,
    tensor_names,
    tensor_rms,
)

POINTS = 4
SETTINGS = NetworkSettings(hidden_layers=3, activation_scale=0.7, richness=1.7)
NAMES = ("layer10", "layer9", "layer11")  # not in the order of the alphabet


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def perceptron(key):
    model = initialize(key, SETTINGS, (5, 7, 2), jnp.float64)
    return model, jax.random.normal(jax.random.fold_in(key, 1), (POINTS, 5), jnp.float64)


def trace_of(model, inputs):
    phi = activation(model.settings)
    layers = {name: Layer(h, phi(h)) for name, h in zip(NAMES, preactivations(model, inputs), strict=True)}
    return Trace(predict(model, inputs), layers, {})


def image_trace(seed):
    """Two layers of different sizes with positions, one without, and attention."""
    rng = np.random.default_rng(seed)
    shapes = {"wide": (POINTS, 3, 2, 6), "narrow": (POINTS, 2, 5), "flat": (POINTS, 9)}
    fields = {name: jnp.array(rng.standard_normal(shape)) for name, shape in shapes.items()}
    layers = {name: Layer(h, jnp.tanh(h)) for name, h in fields.items()}
    attention = {name: jnp.array(rng.random((POINTS, 2, 3, 3))) for name in ("wide", "narrow")}
    return Trace(jnp.zeros((POINTS, 2)), layers, attention)


def test_layers_are_named_in_the_order_of_the_network():
    study = Study(name="deep", network=NetworkSettings(hidden_layers=11))
    found = record_labels(study, open_stream(study))
    assert found["layer"] == tuple(f"hidden {number}" for number in range(1, 12))
    assert found["tensor"] == (*(f"hidden.{number}" for number in range(11)), "readout")


def test_feature_kernels_are_the_perceptrons_own(key):
    model, inputs = perceptron(key)
    found = feature_kernels(eqx.filter_jit(trace_of)(model, inputs), NAMES)
    np.testing.assert_allclose(found, probe(model, inputs).feature_kernel, rtol=1e-12)


def test_feature_kernels_are_means_over_positions_and_neurons(seed):
    trace = image_trace(seed)
    found = jax.jit(feature_kernels, static_argnums=1)(trace, ("narrow", "wide"))
    for kernel, name in zip(found, ("narrow", "wide"), strict=True):
        phi = np.asarray(trace.layers[name].feature)
        for m in range(POINTS):
            for n in range(POINTS):
                np.testing.assert_allclose(kernel[m, n], (phi[m] * phi[n]).mean(), rtol=1e-12, atol=1e-15)
    assert (np.linalg.eigvalsh(found) > -1e-12).all()


def test_quantiles_are_numpys_median_unbiased_ones(seed):
    trace, names = image_trace(seed), ("flat", "wide")
    found = jax.jit(preactivation_quantiles, static_argnums=1)(trace, names)
    assert found.shape == (2, POINTS, len(QUANTILE_LEVELS))
    for values, name in zip(found, names, strict=True):
        pooled = np.asarray(trace.layers[name].preactivation).reshape(POINTS, -1)
        expected = np.quantile(pooled, QUANTILE_LEVELS, axis=1, method="median_unbiased").T
        np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-14)


def test_quantiles_of_one_neuron_are_its_value():
    trace = Trace(jnp.zeros((2, 1)), {"one": Layer(jnp.array([[3.0], [-1.0]]), jnp.zeros((2, 1)))}, {})
    np.testing.assert_array_equal(preactivation_quantiles(trace, ("one",), (0.1, 0.9))[0], [[3, 3], [-1, -1]])


def test_levels_are_symmetric_and_give_the_distance_of_gaussians():
    """Wasserstein-1 by trapezoids over the levels: of N(0, 1) and N(0.1, 1.2^2), and of two shifted ones."""
    from scipy import stats

    levels = np.array(QUANTILE_LEVELS)
    assert len(levels) == 33 and {0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99} <= set(QUANTILE_LEVELS)
    assert (np.diff(levels) > 0).all()
    np.testing.assert_allclose(levels, 1 - levels[::-1], atol=1e-12)
    fine = (np.arange(10**5) + 0.5) / 10**5
    gap = np.abs(stats.norm.ppf(fine, 0.1, 1.2) - stats.norm.ppf(fine)).mean()
    ours = np.trapezoid(np.abs(stats.norm.ppf(levels, 0.1, 1.2) - stats.norm.ppf(levels)), levels)
    assert abs(ours / gap - 1) < 0.04


def test_scales_of_layers_are_root_mean_squares(key):
    model, inputs = perceptron(key)
    moved = jax.tree.map(lambda w: 1.3 * w, model)
    now, then = trace_of(moved, inputs), trace_of(model, inputs)
    found = jax.jit(lambda a, b: (forward_rms(a, NAMES), forward_change_rms(a, b, NAMES)))(now, then)
    for index in range(3):
        h, h0 = (np.asarray(preactivations(m, inputs)[index]) for m in (moved, model))
        np.testing.assert_allclose(found[0][index], np.sqrt((h**2).mean()), rtol=1e-12)
        np.testing.assert_allclose(found[1][index], np.sqrt(((h - h0) ** 2).mean()), rtol=1e-12)
    assert forward_change_rms(then, then, NAMES).max() == 0


def test_scales_of_tensors_come_with_their_names(key):
    model, _ = perceptron(key)
    assert tensor_names(model) == ("hidden.0", "hidden.1", "hidden.2", "readout")
    assert tensor_names({"b": [jnp.ones(1), None], "a": jnp.ones(2)}) == ("a", "b.0")
    expected = [np.sqrt((np.asarray(w) ** 2).mean()) for w in (*model.hidden, model.readout)]
    np.testing.assert_allclose(tensor_rms(model), expected, rtol=1e-12)


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_tiny_and_huge_tensors_keep_their_scale_in_float32(size):
    values = size * np.array([3.0, -4.0, 0.0, 0.0])
    tree = [jnp.array(values, jnp.float32), jnp.zeros(3, jnp.float32), jnp.zeros((0,), jnp.float32)]
    np.testing.assert_allclose(jax.jit(tensor_rms)(tree), [2.5 * size, 0, 0], rtol=1e-6)


def test_what_diverged_is_not_a_number():
    assert np.isnan(tensor_rms([jnp.array([1.0, jnp.nan])])).all()


def test_attention_is_that_of_the_first_point(seed):
    trace = image_trace(seed)
    found = first_attention(trace, ("narrow", "wide"))
    np.testing.assert_array_equal(found[0], trace.attention["narrow"][0])
    np.testing.assert_array_equal(found[1], trace.attention["wide"][0])
