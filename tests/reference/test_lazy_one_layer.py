"""The lazy limit against printed numbers, closed formulas, the slow twin, and sampled linear networks."""

import numpy as np
import pytest
from gaussian_nodes import GaussianNodes, sampled_nodes
from lazy_one_layer import solve_lazy_one_layer, tangent_kernel_covariance
from one_hidden_layer import reference_fluctuations
from scipy.linalg import expm
from scipy.stats import norm

from widthwise.data.points import Points
from widthwise.errors import InputError
from widthwise.exact.gaussian_kernels import activation_functions
from widthwise.study import NetworkSettings, TrainingSettings

ONE = Points(np.ones((1, 1)), np.array([[0.7]]), 1)
RULES = ["gd", "gradient_flow"]


def two_points(train, correlation=0.5156):
    """Two points with |x|^2 = 2 and x.x'/D = `correlation`."""
    inputs = np.sqrt(2) * np.array([[1.0, 0.0], [correlation, np.sqrt(1 - correlation**2)]])
    return Points(inputs, np.array([[1.0], [-0.4]]), train)


@pytest.mark.parametrize(
    ("network", "kernel", "kappa"),
    [
        (NetworkSettings(activation="tanh", activation_scale=0.4), 1.561980350, 1.787812945),
        (NetworkSettings(activation="tanh"), 0.8586973928, 0.6902601987),
        (NetworkSettings(activation="relu", activation_gain=np.sqrt(2.0)), 2.0, 12.0),
        (NetworkSettings(activation="linear"), 2.0, 4.0),
    ],
)
def test_tangent_kernel_and_its_variance_are_the_printed_numbers(network, kernel, kappa):
    """tanh(h) by adaptive integration: with 80 Gauss-Hermite nodes it would be .858697386 and .690258."""
    found = solve_lazy_one_layer(ONE, network, TrainingSettings(steps=1))
    np.testing.assert_allclose(found.tangent_kernel, kernel, rtol=1e-9)
    np.testing.assert_allclose(found.tangent_kernel_variance, kappa, rtol=1e-9)
    np.testing.assert_allclose(tangent_kernel_covariance(ONE, network), kappa, rtol=1e-9)
    assert found.error is not None and found.error < 1e-10


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("activation", ["tanh", "relu", "gelu", "softplus", "erf"])
def test_one_point_follows_the_closed_formulas(activation, rule):
    """N Cov = kappa y^2 t s e^{-K(t+s)}, shift of Delta = kappa y t^2 e^{-Kt}/2; for steps of gradient
    descent t e^{-Kt} becomes k eta (1 - eta K)^(k-1), t^2 e^{-Kt} its second derivative."""
    eta, steps = 0.2, 12
    network = NetworkSettings(activation=activation)
    training = TrainingSettings(optimizer=rule, learning_rate=eta, steps=steps)
    found = solve_lazy_one_layer(ONE, network, training, covariance_steps=(3, 11))
    rate, kappa, y = found.tangent_kernel[0, 0], found.tangent_kernel_variance[0, 0], 0.7
    k = np.arange(steps)
    if rule == "gd":
        residual = y * (1 - eta * rate) ** k
        slope = k * eta * (1 - eta * rate) ** (k - 1.0)
        bend = k * (k - 1) * eta**2 * (1 - eta * rate) ** (k - 2.0)
    else:
        residual = y * np.exp(-eta * k * rate)
        slope, bend = eta * k * residual / y, (eta * k) ** 2 * residual / y
    np.testing.assert_allclose(found.prediction[:, 0, 0], y - residual, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(found.prediction_variance[:, 0, 0], kappa * (y * slope) ** 2, rtol=1e-9)
    np.testing.assert_allclose(-found.prediction_shift[:, 0, 0], kappa * y * bend / 2, rtol=1e-9, atol=1e-12)
    chosen = np.array([3, 11])
    expected = kappa * y**2 * np.outer(slope[chosen], slope[chosen])
    np.testing.assert_allclose(found.prediction_covariance[:, 0, 0, :, 0, 0], expected, rtol=1e-9)
    loss_shift = kappa * y**2 * (slope**2 + residual / y * bend) / 2
    np.testing.assert_allclose(found.loss_shift[:, 0], loss_shift, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.loss_variance[:, 0], kappa * (residual * y * slope) ** 2, rtol=1e-9)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_late_variance_at_a_test_point_is_the_closed_formula(activation):
    """t -> infinity: N Var f_* = y^2 (kappa K_*^2 - 2 K K_* kappa_* + kappa_** K^2) / K^4."""
    points, network = two_points(train=1), NetworkSettings(activation=activation)
    training = TrainingSettings(optimizer="gradient_flow", learning_rate=1.0, steps=60)
    found = solve_lazy_one_layer(points, network, training)
    kernel, kappa = found.tangent_kernel, tangent_kernel_covariance(points, network)
    own, star = kernel[0, 0], kernel[1, 0]
    total = kappa[0, 0, 0, 0] * star**2 - 2 * own * star * kappa[0, 0, 1, 0] + kappa[1, 0, 1, 0] * own**2
    np.testing.assert_allclose(found.prediction_variance[-1, 1, 0], total / own**4, rtol=1e-8)
    assert found.error is not None and found.error < 1e-8


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_two_training_points_follow_the_eigenmode_formula(activation, rule):
    """N Cov(Delta_k(t), Delta_k'(t')) = sum_ll' kappa_kl,k'l' V_kl(t) V_k'l'(t') y_l y_l' in eigenmodes."""
    eta, chosen = 0.3, np.array([2, 7])
    points, network = two_points(train=2), NetworkSettings(activation=activation)
    training = TrainingSettings(optimizer=rule, learning_rate=eta, steps=8)
    found = solve_lazy_one_layer(points, network, training, covariance_steps=chosen.tolist())
    values, vectors = np.linalg.eigh(found.tangent_kernel)
    kappa = tangent_kernel_covariance(points, network)
    modes = np.einsum("mnpq,mk,nl,pi,qj->klij", kappa, vectors, vectors, vectors, vectors)
    y = vectors.T @ points.targets[:, 0]
    decay = [1 - eta * values if rule == "gd" else np.exp(-eta * values)]
    decay = np.stack([decay[0] ** k for k in chosen])
    growth = np.empty((2, 2, 2))
    for row, k in enumerate(chosen):
        for a in range(2):
            for b in range(2):
                if a != b:
                    growth[row, a, b] = (decay[row, a] - decay[row, b]) / (values[b] - values[a])
                elif rule == "gd":
                    growth[row, a, a] = eta * k * (1 - eta * values[a]) ** (k - 1)
                else:
                    growth[row, a, a] = eta * k * decay[row, a]
    expected = np.einsum("klij,tkl,sij,l,j->tksi", modes, growth, growth, y, y)
    measured = found.prediction_covariance[:, :, 0, :, :, 0]
    measured = np.einsum("tmsn,mk,ni->tksi", measured, vectors, vectors)
    np.testing.assert_allclose(measured, expected, rtol=1e-7, atol=1e-10)


READOUT = np.sqrt(3.0) * np.array([-1.0, 0, 0, 0, 0, 1.0])  # the moments of a normal up to the fifth


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("activation", ["tanh", "softplus"])
def test_small_richness_of_the_slow_twin_reaches_the_limit(outputs, activation):
    """Three points, one of them tested; a population of given sites, equal in both, richness 1e-4."""
    rng = np.random.default_rng([outputs, len(activation)])
    inputs, targets = rng.standard_normal((3, 4)), rng.standard_normal((3, outputs))
    points = Points(inputs, targets, 2)
    fields = rng.standard_normal((5, 3))
    readouts = np.stack(np.meshgrid(*[READOUT] * outputs), -1).reshape(-1, outputs)
    phi, slope = activation_functions(activation, 1.0, 1.0)
    reference = reference_fluctuations(
        np.repeat(fields, len(readouts), 0),
        np.tile(readouts, (5, 1)),
        points.input_kernel(),
        targets,
        2,
        phi=phi,
        dphi=slope,
        d2phi=np.zeros_like,  # of no effect in the lazy limit
        d3phi=np.zeros_like,
        learning_rate=0.2,
        steps=5,
        richness=1e-4,
        centered=True,
    )
    nodes = GaussianNodes(fields, np.full(5, 0.2))
    network = NetworkSettings(activation=activation)
    training = TrainingSettings(learning_rate=0.2, steps=5)
    found = solve_lazy_one_layer(points, network, training, nodes=nodes, covariance_steps=range(5))
    for name in ("prediction", "loss"):
        for companion in ("", "_variance", "_shift"):
            value, expected = getattr(found, name + companion), reference[name + companion]
            np.testing.assert_allclose(value, expected, rtol=1e-6, atol=1e-7)
    influence = reference["prediction_influence"]
    two_time = np.einsum("itmc,isnd->tmcsnd", influence, influence) / len(influence)
    np.testing.assert_allclose(found.prediction_covariance, two_time, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(found.tangent_kernel, reference["tangent_kernel"][0], rtol=1e-10)
    np.testing.assert_allclose(
        found.tangent_kernel_variance, reference["tangent_kernel_variance"][0], rtol=1e-8, atol=1e-12
    )


def linear_network(points, training, kernel):
    """f at the last step by an explicit matrix power or exponential of one kernel over (point, output)."""
    outputs, train = points.targets.shape[1], points.train
    rows = len(points.inputs) * outputs
    block = kernel[: train * outputs, : train * outputs]
    time, y = training.steps - 1, points.targets[:train].ravel()
    rate = training.learning_rate / (train if training.reduction == "mean" else 1)
    if training.optimizer == "gradient_flow":
        inner = np.zeros((2 * len(block), 2 * len(block)))  # the integral of exp(-block t) in its corner
        inner[: len(block), : len(block)] = -block
        inner[: len(block), len(block) :] = np.eye(len(block))
        accumulated = expm(inner * rate * time)[: len(block), len(block) :]
    else:
        step = np.eye(len(block)) - rate * block
        accumulated = rate * sum(np.linalg.matrix_power(step, k) for k in range(time))
    return kernel[:rows, : train * outputs] @ accumulated @ y


@pytest.mark.parametrize("rule", RULES)
def test_sampled_linear_networks_scatter_and_shift_as_predicted(rule, seed):
    """Kernels of 2,500 networks of width 400, two outputs, one test point. Each number's false-alarm rate is
    1e-6; N Var resolves 20 %, the shift 25 % of its greatest, of which 4 % are left for the next order.
    The part of the deviation linear in the kernel, of mean zero, is subtracted from the shift's sample."""
    points = two_points(train=1)
    points = Points(points.inputs, np.array([[1.0, -0.5], [0.0, 0.0]]), 1)
    training = TrainingSettings(optimizer=rule, learning_rate=0.25, steps=9, reduction="mean")
    network = NetworkSettings(activation="tanh", activation_scale=0.8)
    found = solve_lazy_one_layer(points, network, training)
    width, networks = 400, 2500
    rng = np.random.default_rng(seed)
    phi, slope = activation_functions("tanh", 0.8, 1.0)
    inputs = points.input_kernel()
    factor = np.linalg.cholesky(inputs)
    limit = np.kron(found.tangent_kernel, np.eye(2))
    predictions, remainders = np.empty((2, networks, 4))
    for which in range(networks):
        h, w = rng.standard_normal((width, 2)) @ factor.T, rng.standard_normal((width, 2))
        gradients = np.einsum("im,ic->imc", slope(h), w)
        forward = phi(h).T @ phi(h)
        backward = np.tensordot(gradients, gradients, (0, 0)) * inputs[:, None, :, None]
        kernel = (np.kron(forward, np.eye(2)) + backward.reshape(4, 4)) / width
        predictions[which] = linear_network(points, training, kernel)
        above, below = (
            linear_network(points, training, limit + 1e-4 * sign * (kernel - limit)) for sign in (1, -1)
        )
        remainders[which] = width * (
            predictions[which] - found.prediction[-1].ravel() - (above - below) / 2e-4
        )
    shift, expected = remainders.mean(0), found.prediction_shift[-1].ravel()
    quantile, greatest = norm.isf(0.5e-6), np.abs(expected).max()
    threshold = quantile * remainders.std(0) / np.sqrt(networks) + 0.04 * greatest
    assert threshold.max() < 0.25 * greatest, threshold / greatest
    assert (np.abs(shift - expected) < threshold).all()
    ratio = width * predictions.var(0) / found.prediction_variance[-1].ravel()
    bound = quantile * np.sqrt(2 / networks) + 0.03
    assert bound < 0.2
    assert (np.abs(ratio - 1) < bound).all()


def test_a_test_point_changes_nothing_in_training_and_equal_points_act_as_one():
    network = NetworkSettings(activation="tanh")
    training = TrainingSettings(learning_rate=0.1, steps=6, optimizer="gradient_flow")
    alone = solve_lazy_one_layer(Points(np.ones((1, 1)), np.ones((1, 1)), 1), network, training)
    tested = solve_lazy_one_layer(Points(np.array([[1.0], [-0.6]]), np.ones((2, 1)), 1), network, training)
    halves = TrainingSettings(learning_rate=0.1, steps=6, optimizer="gradient_flow", reduction="mean")
    doubled = solve_lazy_one_layer(Points(np.ones((2, 1)), np.ones((2, 1)), 2), network, halves)
    for name in ("prediction", "prediction_variance", "prediction_shift"):
        expected = getattr(alone, name)[:, 0]
        np.testing.assert_allclose(getattr(tested, name)[:, 0], expected, rtol=1e-10, atol=1e-13)
        for row in range(2):
            np.testing.assert_allclose(getattr(doubled, name)[:, row], expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(doubled.loss_shift, alone.loss_shift, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(doubled.loss_variance, alone.loss_variance, rtol=1e-9, atol=1e-12)


def test_sampled_nodes_reach_the_quadrature():
    """4,096 Sobol samples of two points: every number within 3 % of its greatest."""
    points, network = two_points(train=1), NetworkSettings(activation="tanh")
    training = TrainingSettings(learning_rate=0.2, steps=10)
    exact = solve_lazy_one_layer(points, network, training)
    nodes = sampled_nodes(points.input_kernel(), power=12, seed=1)
    sampled = solve_lazy_one_layer(points, network, training, nodes=nodes)
    for name in ("prediction", "prediction_variance", "prediction_shift", "tangent_kernel_variance"):
        value = getattr(exact, name)
        np.testing.assert_allclose(getattr(sampled, name), value, atol=0.03 * np.abs(value).max())
    assert sampled.error is None


@pytest.mark.parametrize(
    ("network", "training", "word"),
    [
        (NetworkSettings(hidden_layers=2), TrainingSettings(), "hidden_layers"),
        (NetworkSettings(centered=False), TrainingSettings(), "centered"),
        (NetworkSettings(), TrainingSettings(loss="cross_entropy"), "loss"),
        (NetworkSettings(), TrainingSettings(learning_rate=1e4, steps=400), "learning_rate"),
    ],
)
def test_what_the_limit_does_not_cover_is_refused(network, training, word):
    with pytest.raises(InputError, match=word):
        solve_lazy_one_layer(ONE, network, training)


def test_inputs_of_higher_rank_need_nodes():
    points = Points(np.eye(3), np.ones((3, 1)), 2)
    with pytest.raises(ValueError, match="sampled_nodes"):
        solve_lazy_one_layer(points, NetworkSettings(), TrainingSettings())
