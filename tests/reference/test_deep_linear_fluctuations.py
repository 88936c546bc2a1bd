"""Fast order 1/N of deep linear networks: the dense twin, tabulated numbers, closed forms and symmetries."""

import numpy as np
import pytest
from deep_linear import DeepLinearProblem, solve_deep_linear
from deep_linear_action import dense_covariance, dense_variances
from deep_linear_fluctuations import (
    LinearObservable,
    deep_linear_covariance,
    solve_deep_linear_fluctuations,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from linear_networks import train_linear_networks
from scipy.stats import norm

from widthwise.exact.two_layer_linear import TwoLayerLinearProblem, solve_two_layer_linear

KERNEL = np.array([[1.0, 0.4, -0.3], [0.4, 0.8, 0.2], [-0.3, 0.2, 1.2]])
TARGETS = np.array([1.0, -0.6, 0.3])


def one_point(layers, **change):
    options = {"richness": 2.0, "learning_rate": 0.03, "steps": 9}
    return solve_deep_linear(DeepLinearProblem(hidden_layers=layers, **(options | change)))


def three_points(**change):
    """Two training points and a test point."""
    options = {"hidden_layers": 2, "richness": 1.5, "learning_rate": 0.06, "steps": 7, "train": 2}
    return solve_deep_linear(
        DeepLinearProblem(**(options | {"input_kernel": KERNEL, "targets": TARGETS} | change))
    )


def test_two_layers_give_the_printed_variances():
    solution = one_point(2, steps=14, residual_rule="tangent_kernel")
    found, steps = solve_deep_linear_fluctuations(solution), [0, 3, 7, 10, 13]
    feature = found.feature_kernel_variance[steps, :, 0, 0].T
    np.testing.assert_allclose(
        found.residual_variance[steps, 0], [0, 0.1243, 0.4339, 0.3881, 0.1622], atol=6e-5
    )
    np.testing.assert_allclose(feature[1], [4, 6.434, 15.809, 18.669, 15.315], atol=6e-4)
    np.testing.assert_allclose(feature[0], [2, 2.2345, 2.7776, 2.6155, 2.1484], atol=6e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layers", "steps", "change"),
    [
        (2, 12, {}),
        (2, 12, {"residual_rule": "tangent_kernel", "centered": True}),
        (3, 10, {"centered": False, "richness": 1.1}),
        (3, 12, {}),
    ],
)
def test_the_dense_twin_agrees(layers, steps, change):
    solution = one_point(layers, steps=steps, **change)
    found, twin = solve_deep_linear_fluctuations(solution), dense_variances(solution)
    pairs = {
        "residual": found.residual_variance[:, 0],
        "feature": found.feature_kernel_variance[:, :, 0, 0].T,
        "gradient": found.gradient_kernel_variance[:, :, 0, 0].T,
        "tangent": found.tangent_kernel_variance[:, 0, 0],
    }
    for name, value in pairs.items():
        np.testing.assert_allclose(value, twin[name], rtol=1e-6, atol=1e-9, err_msg=name)


def test_the_dense_twin_agrees_between_layers_times_and_kinds():
    solution = one_point(3, steps=5)
    where, covariance = dense_covariance(solution)
    names = {"H": "feature_kernel", "G": "gradient_kernel"}
    wanted = [("H", 1, 2, 2), ("H", 3, 4, 1), ("G", 1, 3, 3), ("G", 2, 4, 4), ("G", 3, 0, 2), ("H", 2, 3, 0)]
    rows = [where[kind, layer][t, s] for kind, layer, t, s in wanted]
    rows += [where["residual"][2], where["residual"][4]]
    observables = [
        LinearObservable(names[kind], (t, 0), (s, 0), layer)  # pyright: ignore[reportArgumentType]
        for kind, layer, t, s in wanted
    ]
    observables += [LinearObservable("residual", (2, 0)), LinearObservable("residual", (4, 0))]
    # Off-diagonal entries of the twin are of full matrices; their symmetric part is the kernel.
    expected = np.empty((8, 8))
    mirror = [where[kind, layer][s, t] for kind, layer, t, s in wanted] + rows[6:]
    for i in range(8):
        for j in range(8):
            corners = [covariance[a, b] for a in (rows[i], mirror[i]) for b in (rows[j], mirror[j])]
            expected[i, j] = np.mean(corners)
    found = deep_linear_covariance(solution, observables)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("centered", [True, False])
def test_one_hidden_layer_is_the_closed_two_layer_network(centered):
    options = {"richness": 1.7, "learning_rate": 0.1, "steps": 15, "centered": centered}
    found = solve_deep_linear_fluctuations(
        solve_deep_linear(DeepLinearProblem(hidden_layers=1, targets=np.array([-0.8]), **options))
    )
    closed = solve_two_layer_linear(TwoLayerLinearProblem(target=-0.8, **options))
    np.testing.assert_allclose(found.residual_variance[:, 0], closed.prediction_variance, atol=1e-10)
    np.testing.assert_allclose(
        found.tangent_kernel_variance[:, 0, 0], closed.tangent_kernel_variance, rtol=1e-9
    )
    two_time = closed.prediction_response @ closed.prediction_response.T
    np.testing.assert_allclose(found.residual_covariance[:, 0, :, 0], two_time, atol=1e-10)


def test_edge_of_stability_of_one_hidden_layer():
    settings = {"learning_rate": 0.2, "steps": 30, "centered": False}
    found = solve_deep_linear_fluctuations(one_point(1, richness=5.0, **settings))
    expected = [0.42991616, 0.463947214, 0.406520737, 0.392853593]
    np.testing.assert_allclose(found.residual_variance[[2, 5, 10, 29], 0], expected, atol=1e-9)
    found = solve_deep_linear_fluctuations(one_point(1, richness=2.5, **settings))
    expected = [4, 11.325866, 0.194608903, 0.196376478]
    np.testing.assert_allclose(found.tangent_kernel_variance[[0, 2, 5, 24], 0, 0], expected, atol=1e-6)


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_initialization(layers):
    """N Cov(H^l, H^l') = 2 min(l, l'), likewise G from above; N Var K = 2 L (L + 1)(2L + 1)/3."""
    solution = one_point(layers, steps=1, centered=False)
    index = range(1, layers + 1)
    observables = [LinearObservable("feature_kernel", (0, 0), (0, 0), n) for n in index]
    observables += [LinearObservable("gradient_kernel", (0, 0), (0, 0), n) for n in index]
    covariance = deep_linear_covariance(solution, observables)
    minimum = 2.0 * np.minimum.outer(np.arange(1, layers + 1), np.arange(1, layers + 1))
    np.testing.assert_allclose(covariance[:layers, :layers], minimum, rtol=1e-12)
    np.testing.assert_allclose(covariance[layers:, layers:], minimum[::-1, ::-1], rtol=1e-12)
    np.testing.assert_allclose(covariance[:layers, layers:], 0.0, atol=1e-12)
    found = solve_deep_linear_fluctuations(solution)
    expected = 2 * layers * (layers + 1) * (2 * layers + 1) / 3
    np.testing.assert_allclose(found.tangent_kernel_variance, expected, rtol=1e-12)
    np.testing.assert_allclose(found.residual_variance, 1 / 2.0**2, rtol=1e-12)


@pytest.mark.parametrize("rule", ["forward_pass", "tangent_kernel"])
def test_the_tangent_kernel_variance_is_that_of_its_sum(rule):
    """Var K from the covariances of all H^l and G^l, which come from separate adjoints."""
    solution, t = one_point(3, steps=6, residual_rule=rule), 5
    observables = [LinearObservable("feature_kernel", (t, 0), (t, 0), n) for n in (1, 2, 3)]
    observables += [LinearObservable("gradient_kernel", (t, 0), (t, 0), n) for n in (1, 2, 3)]
    h, g = solution.feature_kernel[:, t, t], solution.gradient_kernel[:, t, t]
    slope = np.concatenate([g[1:], [1.0], [1.0], h[:-1]])
    expected = slope @ deep_linear_covariance(solution, observables) @ slope
    found = solve_deep_linear_fluctuations(solution, [t])
    np.testing.assert_allclose(found.tangent_kernel_variance[0, 0, 0], expected, rtol=1e-9)


@pytest.mark.parametrize("rule", ["forward_pass", "tangent_kernel"])
def test_the_network_read_backwards_has_the_same_variances(rule):
    solution = one_point(4, steps=6, residual_rule=rule)
    for layer in (1, 2):
        pair = [
            LinearObservable("feature_kernel", (5, 0), (4, 0), layer),
            LinearObservable("gradient_kernel", (5, 0), (4, 0), 5 - layer),
        ]
        variance = np.diagonal(deep_linear_covariance(solution, pair))
        np.testing.assert_allclose(variance[0], variance[1], rtol=1e-9)


@settings(max_examples=15)
@given(
    layers=st.integers(1, 3),
    richness=st.floats(0.2, 2.0),
    centered=st.booleans(),
    rule=st.sampled_from(["forward_pass", "tangent_kernel"]),
    order=st.permutations(range(2)),
)
def test_covariances_are_positive_and_permute_with_the_points(layers, richness, centered, rule, order):
    change = {"hidden_layers": layers, "richness": richness, "centered": centered, "steps": 5}
    solution = three_points(residual_rule=rule, **change)
    index = np.array([*order, 2])
    moved = three_points(
        residual_rule=rule, input_kernel=KERNEL[np.ix_(index, index)], targets=TARGETS[index], **change
    )
    found, other = (solve_deep_linear_fluctuations(one) for one in (solution, moved))
    covariance = found.residual_covariance.reshape(15, 15)
    assert np.linalg.eigvalsh(covariance)[0] > -1e-10 * max(1.0, np.abs(covariance).max())
    np.testing.assert_allclose(
        other.residual_variance, found.residual_variance[:, index], rtol=1e-7, atol=1e-10
    )
    np.testing.assert_allclose(
        other.gradient_kernel_variance,
        found.gradient_kernel_variance[:, :, index][..., index],
        rtol=1e-7,
        atol=1e-10,
    )


def test_batches_horizon_and_chosen_steps_change_nothing(monkeypatch):
    """One step at a time, a shorter solution and a single step asked for give the same numbers."""
    full = solve_deep_linear_fluctuations(three_points())
    one = solve_deep_linear_fluctuations(three_points(), [4])
    short = solve_deep_linear_fluctuations(three_points(steps=5))
    monkeypatch.setattr("deep_linear_fluctuations.BATCH_BYTES", 1.0)
    single = solve_deep_linear_fluctuations(three_points())
    for name in ("residual_variance", "feature_kernel_variance", "tangent_kernel_variance"):
        expected = getattr(full, name)
        for other, rows in ((one, [4]), (short, range(5)), (single, range(7))):
            np.testing.assert_allclose(getattr(other, name), expected[list(rows)], rtol=1e-8, atol=1e-10)


def test_a_test_point_does_not_change_training():
    with_test = solve_deep_linear_fluctuations(three_points())
    without = solve_deep_linear_fluctuations(
        three_points(input_kernel=KERNEL[:2, :2], targets=TARGETS[:2], train=None)
    )
    np.testing.assert_allclose(
        with_test.residual_variance[:, :2], without.residual_variance, rtol=1e-8, atol=1e-11
    )


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_rescaling_richness_against_target(factor):
    """(gamma, y) -> (c gamma, y/c) leaves N Var K and multiplies N Var Delta by 1/c^2, centered."""
    plain = solve_deep_linear_fluctuations(three_points())
    other = solve_deep_linear_fluctuations(three_points(richness=1.5 * factor, targets=TARGETS / factor))
    np.testing.assert_allclose(other.tangent_kernel_variance, plain.tangent_kernel_variance, rtol=1e-8)
    np.testing.assert_allclose(other.residual_variance, plain.residual_variance / factor**2, atol=1e-9)


@pytest.mark.slow
def test_trained_networks_on_three_points_have_these_variances(seed):
    """4,000 networks of 96 neurons, L = 2, two training points and a test point.

    False-alarm rate 1e-6 in all; resolution 20 % of N Var. The 1/N left over is bounded by 20/N of it.
    """
    solution, width, networks = three_points(), 96, 4000
    found = solve_deep_linear_fluctuations(solution)
    rng = np.random.default_rng(seed)
    parts = [
        train_linear_networks(solution.problem, width=width, networks=networks // 4, rng=rng)
        for _ in range(4)
    ]
    tested = {
        "residual": found.residual_variance,
        "feature_kernel": found.feature_kernel_variance,
        "gradient_kernel": found.gradient_kernel_variance,
        "tangent_kernel": found.tangent_kernel_variance,
    }
    factor = norm.isf(0.5e-6 / sum(value[1:].size for value in tested.values()))
    for name, expected in tested.items():
        values = np.concatenate([part[name] for part in parts])[:, 1:]
        spread = (values - values.mean(0)) ** 2
        error = factor * spread.std(0) / np.sqrt(networks) / spread.mean(0)
        assert error.max() < 0.2, name
        ratio = width * spread.mean(0) / expected[1:]
        assert (np.abs(ratio - 1.0) < error + 20 / width).all(), name


def test_what_lies_outside_the_solution_is_refused():
    solution = one_point(2, steps=3)
    with pytest.raises(ValueError, match="steps"):
        solve_deep_linear_fluctuations(solution, [3])
    with pytest.raises(ValueError, match="layers"):
        deep_linear_covariance(solution, [LinearObservable("feature_kernel", (0, 0), (0, 0), 3)])
    with pytest.raises(ValueError, match="one step"):
        deep_linear_covariance(solution, [LinearObservable("tangent_kernel", (0, 0), (1, 0))])
    with pytest.raises(ValueError, match="empty"):
        solve_deep_linear_fluctuations(solution, [])
