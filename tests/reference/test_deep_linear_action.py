"""The dense twin against tabulated numbers, closed forms and trained networks."""

import numpy as np
import pytest
from deep_linear import DeepLinearProblem, solve_deep_linear
from deep_linear_action import dense_variances, mean_shift_of_residual
from linear_networks import train_linear_networks
from scipy.stats import norm

from widthwise.exact.two_layer_linear import TwoLayerLinearProblem, solve_two_layer_linear


@pytest.mark.slow
def test_two_layers_give_the_printed_variances():
    problem = DeepLinearProblem(
        hidden_layers=2, richness=2.0, learning_rate=0.03, steps=14, residual_rule="tangent_kernel"
    )
    found, steps = dense_variances(solve_deep_linear(problem)), [0, 3, 7, 10, 13]
    np.testing.assert_allclose(found["residual"][steps], [0, 0.1243, 0.4339, 0.3881, 0.1622], atol=6e-5)
    np.testing.assert_allclose(found["feature"][1, steps], [4, 6.434, 15.809, 18.669, 15.315], atol=6e-4)
    np.testing.assert_allclose(found["feature"][0, steps], [2, 2.2345, 2.7776, 2.6155, 2.1484], atol=6e-5)
    np.testing.assert_allclose(found["gradient"], found["feature"][::-1], rtol=1e-10)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_initialization(layers):
    """N Var H^l = 2l, N Var G^l = 2(L + 1 - l), N Var K = 2 L (L + 1)(2L + 1)/3."""
    problem = DeepLinearProblem(hidden_layers=layers, richness=1.0, learning_rate=0.1, steps=1)
    found, index = dense_variances(solve_deep_linear(problem)), np.arange(1, layers + 1)
    np.testing.assert_allclose(found["feature"][:, 0], 2 * index, rtol=1e-12)
    np.testing.assert_allclose(found["gradient"][:, 0], 2 * index[::-1], rtol=1e-12)
    np.testing.assert_allclose(found["tangent"], 2 * layers * (layers + 1) * (2 * layers + 1) / 3, rtol=1e-12)


@pytest.mark.parametrize("centered", [True, False])
def test_one_hidden_layer_has_the_closed_variance_and_shift(centered):
    settings = {"richness": 2.0, "learning_rate": 0.05, "steps": 7, "centered": centered}
    solution = solve_deep_linear(DeepLinearProblem(hidden_layers=1, **settings))
    closed = solve_two_layer_linear(TwoLayerLinearProblem(**settings))
    found = dense_variances(solution)
    np.testing.assert_allclose(found["residual"], closed.prediction_variance, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["tangent"], closed.tangent_kernel_variance, rtol=1e-9)
    np.testing.assert_allclose(found["feature"][0], closed.feature_kernel_variance, rtol=1e-9)
    shift = mean_shift_of_residual(solution)
    np.testing.assert_allclose(shift, -closed.prediction_shift, rtol=1e-7, atol=1e-10)


@pytest.mark.slow
def test_trained_networks_have_its_variance_and_shift(seed):
    """6,000 networks of 128 neurons, L = 2. False-alarm rate 1e-6 in all; resolution 15 % of N Var.

    The 1/N left over is bounded by 20/N of the variance.
    """
    problem = DeepLinearProblem(hidden_layers=2, richness=1.5, learning_rate=0.06, steps=7)
    solution, width, networks = solve_deep_linear(problem), 128, 6000
    found = dense_variances(solution)
    shift = mean_shift_of_residual(solution)
    rng = np.random.default_rng(seed)
    parts = [train_linear_networks(problem, width=width, networks=networks // 6, rng=rng) for _ in range(6)]
    trained = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    factor = norm.isf(0.5e-6 / 48)
    measured = {
        "residual": trained["residual"][:, 1:, 0],
        "tangent": trained["tangent_kernel"][:, :, 0, 0],
        **{f"feature {n}": trained["feature_kernel"][:, :, n, 0, 0] for n in (0, 1)},
        **{f"gradient {n}": trained["gradient_kernel"][:, :, n, 0, 0] for n in (0, 1)},
    }
    expected = {"residual": found["residual"][1:], "tangent": found["tangent"]}
    for kind in ("feature", "gradient"):
        expected |= {f"{kind} {n}": found[kind][n] for n in (0, 1)}
    for name, values in measured.items():
        spread = values - values.mean(0)
        error = np.sqrt(((spread**2).var(0)) / networks) / values.var(0)
        threshold = factor * error + 20 / width
        assert factor * error.max() < 0.15, name
        assert (np.abs(width * values.var(0) / expected[name] - 1.0) < threshold).all(), name
    values = width * (trained["residual"][:, 1:, 0] - solution.residual[1:, 0])
    threshold = factor * values.std(0) / np.sqrt(networks) + 20 / width * np.abs(shift[1:]).max()
    assert (np.abs(values.mean(0) - shift[1:]) < threshold).all()
