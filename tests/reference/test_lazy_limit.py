"""The lazy limit at any depth: closed forms, the one-hidden-layer code, and finite networks."""

import numpy as np
import pytest
from deep_linear import DeepLinearProblem, solve_deep_linear
from lazy_limit import lazy_kernel_fluctuations, solve_lazy_limit
from lazy_one_layer import solve_lazy_one_layer, tangent_kernel_covariance
from scipy import special
from scipy.stats import norm

from widthwise.data.points import Points
from widthwise.exact.lazy import lazy_kernels
from widthwise.study.settings import NetworkSettings, TrainingSettings

KERNEL = np.array([[1.0, 0.4], [0.4, 0.8]])
INPUTS = np.sqrt(2.0) * np.linalg.cholesky(KERNEL)  # K^x = x.x'/2
RELU = {"activation": "relu", "activation_gain": float(np.sqrt(2.0))}


def network(layers, **change):
    return NetworkSettings(hidden_layers=layers, **change)


@pytest.mark.parametrize("layers", [1, 2, 3, 5])
@pytest.mark.parametrize(
    ("change", "spread", "mixed"), [({"activation": "linear"}, 2.0, 0.0), (RELU, 5.0, 1.0)]
)
def test_covariances_of_linear_and_relu_layers_on_one_point(layers, change, spread, mixed):
    """V min(l, l') for Phi, V min(L+1-l, L+1-l') for G, between them max(l - l' + 1, 0) for relu;
    N Var K = V L (L+1)(2L+1)/3, for relu plus L (L+1)(L+2)/3."""
    found = lazy_kernel_fluctuations(np.eye(1), network(layers, **change))
    covariance = found.covariance.reshape(2, layers, 2, layers)
    index = np.arange(1, layers + 1)
    smaller = spread * np.minimum.outer(index, index)
    np.testing.assert_allclose(covariance[0, :, 0], smaller, rtol=1e-10)
    np.testing.assert_allclose(covariance[1, :, 1], smaller[::-1, ::-1], rtol=1e-10)
    expected = mixed * np.maximum(index[:, None] - index[None, :] + 1, 0)
    np.testing.assert_allclose(covariance[0, :, 1], expected, atol=1e-9)
    kappa = (
        spread * layers * (layers + 1) * (2 * layers + 1) / 3
        + mixed * layers * (layers + 1) * (layers + 2) / 3
    )
    np.testing.assert_allclose(found.tangent_kernel.item(), kappa, rtol=1e-10)


@pytest.mark.parametrize(
    ("change", "kernel", "kappa"),
    [
        ({"activation": "tanh", "activation_scale": 0.4}, 1.561980350, 1.787812945),
        ({"activation": "tanh"}, 0.858697393, 0.690260199),
        (RELU, 2.0, 12.0),
    ],
)
def test_one_layer_gives_the_tabulated_numbers(change, kernel, kappa):
    found = lazy_kernel_fluctuations(np.eye(1), network(1, **change))
    np.testing.assert_allclose(
        lazy_kernels(np.eye(1), network(1, **change)).tangent_kernel, kernel, atol=1e-9
    )
    np.testing.assert_allclose(found.tangent_kernel.item(), kappa, atol=1e-9)
    assert found.error < 1e-9


@pytest.mark.parametrize("activation", ["tanh", "erf", "relu", "gelu"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_one_layer_is_the_one_hidden_layer_code(activation, outputs):
    points = Points(INPUTS, np.ones((2, outputs)), 2)
    settings = network(1, activation=activation)
    expected = tangent_kernel_covariance(points, settings)
    found = lazy_kernel_fluctuations(points.input_kernel(), settings, outputs=outputs)
    np.testing.assert_allclose(found.tangent_kernel, expected, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("optimizer", ["gd", "gradient_flow"])
def test_predictions_of_one_layer_are_those_of_the_one_hidden_layer_code(optimizer):
    points, settings = Points(INPUTS, np.array([[1.0], [0.0]]), 1), network(1, activation="tanh")
    training = TrainingSettings(optimizer=optimizer, learning_rate=0.2, steps=9)
    found, expected = (
        solve_lazy_limit(points, settings, training),
        solve_lazy_one_layer(points, settings, training),
    )
    np.testing.assert_allclose(found.prediction, expected.prediction, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(
        found.prediction_variance, expected.prediction_variance[..., 0], rtol=1e-8, atol=1e-12
    )


def test_linear_layers_are_the_deep_linear_network_at_small_richness():
    training = TrainingSettings(learning_rate=0.05, steps=12)
    points = Points(INPUTS, np.array([[1.0], [-0.5]]), 2)
    found = solve_lazy_limit(points, network(3, activation="linear"), training)
    problem = DeepLinearProblem(
        hidden_layers=3,
        richness=1e-4,
        learning_rate=0.05,
        steps=12,
        input_kernel=KERNEL,
        targets=np.array([1.0, -0.5]),
    )
    np.testing.assert_allclose(found.prediction[..., 0], solve_deep_linear(problem).prediction, atol=1e-7)


def test_one_point_has_the_closed_variance():
    """Gradient flow: N Var f(t) = kappa y^2 t^2 e^{-2 K t}, at any depth."""
    points, settings = Points(np.ones((1, 1)), np.full((1, 1), 0.7), 1), network(3, activation="erf")
    training = TrainingSettings(optimizer="gradient_flow", learning_rate=0.1, steps=8)
    found = solve_lazy_limit(points, settings, training)
    kappa = lazy_kernel_fluctuations(np.eye(1), settings).tangent_kernel.item()
    time = 0.1 * np.arange(8)
    decay = np.exp(-2 * found.kernels.tangent_kernel.item() * time)
    np.testing.assert_allclose(found.prediction_variance[:, 0], kappa * 0.49 * time**2 * decay, rtol=1e-9)


def test_kernels_of_finite_networks_scatter_so(seed):
    """10,000 networks of 128 neurons, erf, L = 3, two points: all of Cov(Phi), Cov(G) and kappa.

    False-alarm rate 1e-6 in all; resolution 22 % of the product of standard deviations.
    The 1/N left over is bounded by 12/N of it.
    """
    layers, width, networks = 3, 128, 10_000
    rng, factor = np.random.default_rng(seed), np.linalg.cholesky(KERNEL)
    samples = []
    for _ in range(20):
        batch = networks // 20
        h = [np.einsum("mk,bkn->bmn", factor, rng.standard_normal((batch, 2, width)))]
        weights = rng.standard_normal((layers - 1, batch, width, width), dtype=np.float32) / np.sqrt(width)
        for weight in weights:
            h.append(special.erf(h[-1]) @ weight.mT)
        slopes = [2 / np.sqrt(np.pi) * np.exp(-(fields**2)) for fields in h]
        g = [slopes[-1] * rng.standard_normal((batch, 1, width))]
        for layer in range(layers - 2, -1, -1):
            g.insert(0, slopes[layer] * (g[0] @ weights[layer]))
        feature = [special.erf(fields) @ special.erf(fields).mT / width for fields in h]
        gradient = [fields @ fields.mT / width for fields in g]
        tangent = feature[-1] + gradient[0] * KERNEL
        tangent = tangent + sum(a * b for a, b in zip(feature[:-1], gradient[1:], strict=True))
        samples.append(np.stack([*feature, *gradient, tangent], 1).reshape(batch, -1))
    values = np.concatenate(samples)
    found = lazy_kernel_fluctuations(KERNEL, network(3, activation="erf"))
    kinds = found.covariance.reshape(24, 24)
    measured, scale = width * np.cov(values.T), np.sqrt(np.diagonal(kinds))
    # A covariance of n samples has standard deviation at most sqrt(2/n) of the product, a little more
    # for tails heavier than Gaussian.
    threshold = 1.3 * norm.isf(0.5e-6 / 600) * np.sqrt(2 / networks) + 12 / width
    assert threshold < 0.22
    assert (np.abs(measured[:24, :24] - kinds) < threshold * np.outer(scale, scale)).all()
    kappa = found.tangent_kernel.reshape(4, 4)
    spread = np.sqrt(np.diagonal(kappa))
    assert (np.abs(measured[24:, 24:] - kappa) < threshold * np.outer(spread, spread)).all()


def test_one_layer_moves_the_next_by_the_closed_derivatives():
    """erf, one point: N Cov of Phi^1 with Phi^2 is F'(Phi^1) N Var Phi^1, with G^2 F-dot'(Phi^1) N Var Phi^1.

    F(q) = (2/pi) arcsin(2q/(1+2q)) and F-dot(q) = (4/pi)/sqrt(1+4q).
    """
    settings = network(2, activation="erf")
    covariance = lazy_kernel_fluctuations(np.full((1, 1), 1.5), settings).covariance.reshape(2, 2, 2, 2)
    q = 2 / np.pi * np.arcsin(2 * 1.5 / (1 + 2 * 1.5))
    first = covariance[0, 0, 0, 0]
    np.testing.assert_allclose(covariance[0, 0, 0, 1], 4 / np.pi / (1 + 2 * q) / np.sqrt(1 + 4 * q) * first)
    np.testing.assert_allclose(covariance[0, 0, 1, 1], -8 / np.pi * (1 + 4 * q) ** -1.5 * first)


def test_more_than_two_points_are_sampled():
    kernel = np.array([[1.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 1.0]])
    settings = network(2, activation="erf")
    many = lazy_kernel_fluctuations(kernel, settings).tangent_kernel
    two = lazy_kernel_fluctuations(kernel[:2, :2], settings)
    assert two.error < 1e-6
    np.testing.assert_allclose(many[:2, :2, :2, :2], two.tangent_kernel, rtol=0.02, atol=0.01)


@pytest.mark.parametrize(
    ("change", "training", "word"),
    [({"centered": False}, {}, "centered"), ({}, {"loss": "cross_entropy"}, "loss")],
)
def test_what_the_limit_does_not_cover_is_refused(change, training, word):
    points = Points(INPUTS, np.ones((2, 1)), 2)
    with pytest.raises(ValueError, match=word):
        solve_lazy_limit(points, network(2, **change), TrainingSettings(**training))
