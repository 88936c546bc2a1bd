"""Deep linear networks at infinite width: printed numbers, symmetries, limits, and finite networks."""

import numpy as np
import pytest
from deep_linear import DeepLinearProblem, solve_deep_linear
from hypothesis import given
from hypothesis import strategies as st
from linear_networks import train_linear_networks
from printed import assert_printed
from scipy.stats import norm

from widthwise.exact.two_layer_linear import TwoLayerLinearProblem, solve_two_layer_linear

KERNEL = np.array([[1.0, 0.4, -0.3], [0.4, 0.8, 0.2], [-0.3, 0.2, 1.2]])
TARGETS = np.array([1.0, -0.6, 0.3])


def three_points(**change):
    """Two training points and a test point."""
    settings = {"hidden_layers": 3, "richness": 1.5, "learning_rate": 0.06, "steps": 8, "train": 2}
    return DeepLinearProblem(**(settings | {"input_kernel": KERNEL, "targets": TARGETS} | change))


# step, Delta, H^1, H^2, H^3
THREE_LAYERS = """
5  .690079   1.14335 1.46935 2.04323
10 .265263   1.48031 2.72048 5.36500
15 .0328381  1.64750 3.42893 7.56924
29 2.0072e-5 1.66982 3.52789 7.89381
"""


@pytest.mark.parametrize("row", THREE_LAYERS.strip().splitlines())
def test_three_layers_give_the_printed_numbers(row):
    problem = DeepLinearProblem(
        hidden_layers=3, richness=3.0, learning_rate=0.015, steps=30, residual_rule="tangent_kernel"
    )
    found = solve_deep_linear(problem)
    step, delta, *kernels = row.split()
    assert_printed(found.residual[int(step), 0], delta)
    for layer, digits in enumerate(kernels):
        assert_printed(found.feature_kernel[layer, int(step), int(step)], digits)
        assert_printed(found.gradient_kernel[2 - layer, int(step), int(step)], digits)


@pytest.mark.parametrize("rule", ["forward_pass", "tangent_kernel"])
@pytest.mark.parametrize("layers", [2, 3, 6])
def test_on_one_point_the_network_read_backwards_is_the_same(layers, rule):
    problem = DeepLinearProblem(
        hidden_layers=layers, richness=2.0, learning_rate=0.03, steps=12, residual_rule=rule
    )
    found = solve_deep_linear(problem)
    np.testing.assert_allclose(found.feature_kernel, found.gradient_kernel[::-1], rtol=1e-12)
    np.testing.assert_allclose(found.forward_response, found.backward_response[::-1], rtol=1e-11, atol=1e-13)
    assert np.abs(found.forward_response).max() > 1e-2


@pytest.mark.parametrize("centered", [True, False])
def test_one_hidden_layer_is_the_closed_two_layer_network(centered):
    settings = {"richness": 1.7, "learning_rate": 0.1, "steps": 15, "centered": centered}
    found = solve_deep_linear(DeepLinearProblem(hidden_layers=1, targets=np.array([-0.8]), **settings))
    closed = solve_two_layer_linear(TwoLayerLinearProblem(target=-0.8, **settings))
    np.testing.assert_allclose(found.residual[:, 0], closed.residual, rtol=1e-12)
    np.testing.assert_allclose(found.tangent_kernel[:, 0, 0], closed.tangent_kernel, rtol=1e-12)
    np.testing.assert_allclose(np.diagonal(found.feature_kernel[0]), closed.feature_kernel, rtol=1e-12)


def test_the_euler_rule_converges_to_gradient_flow_at_first_order():
    """Time 1: the error against the closed gradient flow halves with the learning rate."""
    errors = []
    for steps in (40, 80):
        settings = {"richness": 1.0, "learning_rate": 1 / steps, "steps": steps + 1}
        found = solve_deep_linear(
            DeepLinearProblem(hidden_layers=1, residual_rule="tangent_kernel", **settings)
        )
        flow = solve_two_layer_linear(TwoLayerLinearProblem(gradient_flow=True, **settings))
        errors.append(found.residual[-1, 0] - flow.residual[-1])
    assert 1.9 < errors[0] / errors[1] < 2.1


def test_finite_networks_approach_it(seed):
    """Mean over 1,600 networks at N = 64 and 800 at N = 128, extrapolated in 1/N, all numbers together.

    False-alarm rate 1e-6 in all; resolution 0.06 for a training residual and 12 % of the second layer's
    kernel. Without the response functions A and B they would move by 0.09 and 23 %.
    """
    problem, counts = three_points(richness=2.0, steps=8), {64: 1600, 128: 800}
    found = solve_deep_linear(problem)
    rng = np.random.default_rng(seed)
    small, large = (
        train_linear_networks(problem, width=width, networks=count, rng=rng)
        for width, count in counts.items()
    )
    equal = np.arange(problem.steps)
    expected = {"residual": found.residual, "tangent_kernel": found.tangent_kernel}
    for name in ("feature_kernel", "gradient_kernel"):
        expected[name] = getattr(found, name).reshape(3, 8, 3, 8, 3)[:, equal, :, equal]
    factor = norm.isf(0.5e-6 / sum(np.size(part) for part in expected.values()))
    thresholds = {}
    for name, value in expected.items():
        mean = 2 * large[name].mean(0) - small[name].mean(0)
        error = np.sqrt(4 * large[name].var(0) / 800 + small[name].var(0) / 1600)
        # The next order: 1/(64 * 128) times a coefficient of order ten.
        thresholds[name] = factor * error + 10 / (64 * 128) * np.abs(value)
        assert (np.abs(mean - value) <= thresholds[name]).all(), name
    assert thresholds["residual"][:, :2].max() < 0.06
    assert (thresholds["feature_kernel"] / np.abs(expected["feature_kernel"]))[:, 1, 0, 0].max() < 0.12


@given(
    layers=st.integers(1, 4),
    richness=st.floats(0.1, 2.0),
    order=st.permutations(range(3)),
    rule=st.sampled_from(["forward_pass", "tangent_kernel"]),
)
def test_permuting_points_permutes_everything_and_the_map_is_solved(layers, richness, order, rule):
    change = {"hidden_layers": layers, "richness": richness, "steps": 5, "train": 3, "residual_rule": rule}
    found = solve_deep_linear(three_points(**change))
    assert found.iteration_residual < 1e-13
    index = np.array(order)
    moved = solve_deep_linear(
        three_points(input_kernel=KERNEL[np.ix_(index, index)], targets=TARGETS[index], **change)
    )
    np.testing.assert_allclose(moved.residual, found.residual[:, index], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(
        moved.tangent_kernel, found.tangent_kernel[:, index][:, :, index], rtol=1e-10, atol=1e-12
    )


@given(layers=st.integers(1, 4), steps=st.integers(1, 7))
def test_the_past_does_not_depend_on_the_horizon(layers, steps):
    long = solve_deep_linear(three_points(hidden_layers=layers))
    short = solve_deep_linear(three_points(hidden_layers=layers, steps=steps))
    size = 3 * steps
    np.testing.assert_array_equal(short.residual, long.residual[:steps])
    np.testing.assert_allclose(short.feature_kernel, long.feature_kernel[:, :size, :size], rtol=1e-13)


def test_a_test_point_does_not_change_training():
    with_test = solve_deep_linear(three_points())
    without = solve_deep_linear(three_points(input_kernel=KERNEL[:2, :2], targets=TARGETS[:2], train=None))
    np.testing.assert_allclose(with_test.residual[:, :2], without.residual, rtol=1e-12)
    np.testing.assert_allclose(with_test.tangent_kernel[:, :2, :2], without.tangent_kernel, rtol=1e-12)


def test_identical_points_are_one_point_with_the_summed_rate():
    settings = {"hidden_layers": 3, "richness": 1.3, "steps": 9}
    three = solve_deep_linear(
        DeepLinearProblem(input_kernel=np.ones((3, 3)), targets=np.ones(3), learning_rate=0.02, **settings)
    )
    one = solve_deep_linear(DeepLinearProblem(learning_rate=0.06, **settings))
    np.testing.assert_allclose(three.residual, np.repeat(one.residual, 3, 1), rtol=1e-11)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_rescaling_richness_against_target_leaves_kernels(factor):
    plain = solve_deep_linear(three_points())
    other = solve_deep_linear(three_points(richness=1.5 * factor, targets=TARGETS / factor))
    np.testing.assert_allclose(other.feature_kernel, plain.feature_kernel, rtol=1e-11)


def test_the_lazy_limit_keeps_kernels_and_learns_exponentially():
    """K = L + 1 on one point."""
    found = solve_deep_linear(DeepLinearProblem(hidden_layers=4, richness=1e-4, learning_rate=0.03, steps=20))
    np.testing.assert_allclose(found.residual[:, 0], (1 - 0.03 * 5) ** np.arange(20), rtol=1e-6)
    np.testing.assert_allclose(found.feature_kernel, 1.0, rtol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        {"richness": 0.0},
        {"learning_rate": float("nan")},
        {"steps": 0},
        {"hidden_layers": 0},
        {"train": 4},
        {"targets": np.ones(2)},
    ],
)
def test_impossible_problems_are_refused_by_name(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        three_points(**change)


def test_divergence_is_an_error_and_not_nan():
    with pytest.raises(ValueError, match="diverges"):
        solve_deep_linear(DeepLinearProblem(hidden_layers=3, richness=1.0, learning_rate=5.0, steps=60))
