"""Frozen feedback: its draw, its fields, and backpropagation as the case of feedback through the weights."""

import feedback_network
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from perceptrons import initialize, predict
from scipy import stats

from widthwise.networks import Feedback, draw_feedback, feedback_fields, preactivations, probe
from widthwise.study import NetworkSettings, TrainingSettings
from widthwise.training.dynamics import feedback_gradient
from widthwise.training.loss import total_loss

RULES = ["feedback_alignment", "direct_feedback_alignment"]
SIZES = (5, 7, 2)  # dimension, width, outputs: all different
POINTS = 4


def model_and_inputs(key, layers=3):
    settings = NetworkSettings(hidden_layers=layers, activation_scale=0.7, activation_gain=1.3, richness=1.7)
    with jax.enable_x64(True):
        model = initialize(key, settings, SIZES, jnp.float64)
        return model, jax.random.normal(jax.random.fold_in(key, 9), (POINTS, SIZES[0]), jnp.float64)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("rule", RULES)
def test_fields_and_kernels_are_those_of_the_numpy_twin(key, rule, layers):
    model, inputs = model_and_inputs(key, layers)
    with jax.enable_x64(True):
        feedback = draw_feedback(key, rule, (layers, *SIZES[1:]), jnp.float64)
        fields = preactivations(model, inputs)
        pull = jnp.broadcast_to(jnp.eye(SIZES[2])[:, None], (SIZES[2], POINTS, SIZES[2]))
        found = feedback_fields(feedback, model.settings, fields, pull)
        probed = probe(model, inputs, feedback)
    weights = [np.asarray(w) for w in (*model.hidden, model.readout)]
    matrices = [np.asarray(w) for w in feedback.layers]
    for c in range(SIZES[2]):
        for m in range(POINTS):
            h = [np.asarray(each[m]) for each in fields]
            expected = feedback_network.backward_fields(matrices, model.settings, h, c)
            for layer in range(layers):
                np.testing.assert_allclose(found[layer][c, m], expected[layer], rtol=1e-11, atol=1e-13)
    gradient, tangent = feedback_network.kernels(weights, matrices, model.settings, np.asarray(inputs))
    np.testing.assert_allclose(probed.gradient_kernel, gradient, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(probed.tangent_kernel, tangent, rtol=1e-11, atol=1e-13)
    assert layers == 1 or np.abs(tangent - tangent.T).max() > 1e-3, "cannot tell K from its transpose"


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_feedback_through_the_weights_themselves_is_backpropagation(key, loss):
    """Kernels and velocities, three layers and two outputs: each factor of the rule at once."""
    model, inputs = model_and_inputs(key)
    with jax.enable_x64(True):
        targets = jax.nn.softmax(jax.random.normal(key, (POINTS, SIZES[2])))
        feedback = Feedback((*model.hidden[1:], model.readout), False)
        training = TrainingSettings(loss=loss, reduction="mean")
        expected = jax.grad(lambda m: total_loss(predict(m, inputs), targets, training))(model)
        pull = jax.grad(lambda f: total_loss(f, targets, training))(predict(model, inputs))
        found = feedback_gradient(model, feedback, inputs, pull)
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-13)
        for one, other in zip(probe(model, inputs, feedback), probe(model, inputs), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("rule", RULES)
def test_feedback_is_standard_normal_and_independent_of_the_weights(key, rule):
    """Kolmogorov-Smirnov and correlation, false-alarm rate 1e-6 each; a shared draw would correlate by 1."""
    width, outputs = 200, 200
    feedback = draw_feedback(key, rule, (2, width, outputs))
    weights = initialize(key, NetworkSettings(hidden_layers=2), (width, width, outputs))
    assert [each.shape for each in feedback.layers] == [(200, 200)] * 2
    for drawn in feedback.layers:
        values = np.asarray(drawn).ravel()
        assert stats.kstest(values, "norm").statistic < stats.kstwo.isf(1e-6, values.size)
        for tensor in (*weights.hidden, weights.readout):
            correlation = values @ np.asarray(tensor).ravel() / values.size
            assert abs(correlation) < stats.norm.isf(0.5e-6) / np.sqrt(values.size) < 0.03
    first, second = (np.asarray(each).ravel() for each in feedback.layers)
    assert abs(first @ second / first.size) < 0.03


def test_backpropagation_has_no_feedback(key):
    assert draw_feedback(key, "backpropagation", (2, 5, 1)) is None
