"""The closed two-layer linear network against printed numbers and against equations written otherwise."""

import numpy as np
import pytest
from printed import assert_printed
from scipy.integrate import solve_ivp
from scipy.stats import norm

from widthwise.errors import InputError
from widthwise.exact.two_layer_linear import (
    TwoLayerLinearProblem,
    solve_two_layer_linear,
)


def flow(richness, times, **options):
    """Solution at `times`, multiples of 0.1."""
    last = round(max(times) * 10)
    problem = TwoLayerLinearProblem(
        richness=richness, learning_rate=0.1, steps=last + 1, gradient_flow=True, **options
    )
    return solve_two_layer_linear(problem), [round(10 * t) for t in times]


# richness, time, Delta, K, N Var Delta, N Var K; 1e-4 stands for the lazy limit, reached as richness^2.
CENTERED_FLOW = """
1e-4 .5 .367879 2       .135335    4
1e-4 1  .135335 2       .0732625   4
.5   .5 .360224 2.09984 .136194    4.45867
.5   1  .123124 2.18378 .0651367   4.41642
1    .5 .338136 2.39839 .136834    5.7527
1    1  .0934117 2.69956 .0441538  5.17638
2    .5 .26215  3.56521 .120375    9.57008
2    1  .0343309 4.34974 .00807383 5.31287
4    .2 .585647 3.87144 .114418    17.6236
4    .5 .0976156 7.491  .0309192   10.642
4    1  .0017376 8.23273 2.57075e-5 4.15004
"""


@pytest.mark.parametrize("row", CENTERED_FLOW.strip().splitlines())
def test_centered_gradient_flow_gives_the_printed_numbers(row):
    richness, time, *printed = row.split()
    found, (step,) = flow(float(richness), [float(time)])
    values = (found.residual, found.tangent_kernel, found.prediction_variance, found.tangent_kernel_variance)
    for value, digits in zip(values, printed, strict=True):
        assert_printed(value[step], digits)


# richness, step, N Var Delta, N Var K ("-" where none is printed).
UNCENTERED_STEPS = """
2.5 0  .16        4
2.5 2  .36190724  11.325866
2.5 5  -          .194608903
2.5 24 -          .196376478
5   2  .42991616  -
5   5  .463947214 -
5   10 .406520737 -
5   29 .392853593 -
6   29 5.0164e-5  7.2236e-3
"""


@pytest.mark.parametrize("row", UNCENTERED_STEPS.strip().splitlines())
def test_uncentered_discrete_steps_give_the_printed_variances(row):
    richness, step, prediction, kernel = row.split()
    problem = TwoLayerLinearProblem(richness=float(richness), learning_rate=0.2, steps=30, centered=False)
    found = solve_two_layer_linear(problem)
    for value, digits in ((found.prediction_variance, prediction), (found.tangent_kernel_variance, kernel)):
        if digits != "-":
            assert_printed(value[int(step)], digits)


def test_uncentered_discrete_steps_give_the_printed_mean_shift():
    problem = TwoLayerLinearProblem(richness=2.0, learning_rate=0.02, steps=80, centered=False)
    found = solve_two_layer_linear(problem)
    for step, printed in ((10, ".14664"), (20, ".34778"), (40, ".21641"), (79, ".011008")):
        assert_printed(-found.prediction_shift[step], printed)


@pytest.mark.parametrize("richness", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("target", [1.0, -0.7])
def test_late_kernel_variance_falls_with_feature_learning(richness, target):
    """N Var K -> 4 for every richness, centered; relative to K^2: 1/(1 + gamma^2 y^2), squared uncentered."""
    learned = 1.0 + (richness * target) ** 2
    for centered, expected in ((True, 1.0 / learned), (False, 1.0 / learned**2)):
        found, _ = flow(richness, [16.0], target=target, centered=centered)
        ratio = found.tangent_kernel_variance[-1] / found.tangent_kernel[-1] ** 2
        np.testing.assert_allclose(ratio, expected, rtol=1e-6)


@pytest.mark.parametrize("richness", [0.5, 3.0])
def test_centered_variance_solves_the_linearized_equations_of_residual_and_kernel(richness):
    """N Var Delta = 4 a^2 + b^2 with a and b integrated from their own equations."""

    def velocity(_, state):
        f, a, b = state
        delta, square = 1.0 - f, richness**2
        kernel = 2.0 * np.sqrt(1.0 + square * f**2)
        return [
            kernel * delta,
            -kernel * a - delta * (2.0 - 4.0 * square * f * a) / kernel,
            -kernel * b - delta * (4.0 * richness * f - 4.0 * square * f * b) / kernel,
        ]

    found, _ = flow(richness, [2.0])
    times = 0.1 * np.arange(21)
    f, a, b = solve_ivp(velocity, (0, 2), [0, 0, 0], method="DOP853", t_eval=times, rtol=1e-12, atol=1e-14).y
    np.testing.assert_allclose(found.prediction, f, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.prediction_variance, 4 * a**2 + b**2, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("centered", [True, False])
def test_two_time_covariance_is_the_product_of_the_map_jacobians(centered):
    """The (f, K) map of one step, differentiated by hand, started from N Cov = diag(1/gamma^2, 4)."""
    gamma, eta, y = 1.7, 0.15, 0.8
    problem = TwoLayerLinearProblem(richness=gamma, target=y, learning_rate=eta, steps=12, centered=centered)
    found = solve_two_layer_linear(problem)
    f, k, jacobian = 0.0, 2.0, np.eye(2)
    products = []
    for _ in range(12):
        products.append(jacobian - np.array([[1.0, 0.0], [0.0, 0.0]]) * centered)
        d, c = y - f, eta**2 * gamma**2
        by_f = np.array([[1 + c * d**2], [4 * eta * gamma**2 * d]])
        by_k = np.array([[eta * d], [1 + c * d**2]])
        by_d = np.array([[eta * k + 2 * c * f * d], [4 * eta * gamma**2 * f + 2 * c * d * k]])
        d_of_start = np.array([[1.0 * centered, 0.0]]) - jacobian[:1]
        jacobian = by_f @ jacobian[:1] + by_k @ jacobian[1:] + by_d @ d_of_start
        f, k = f + eta * k * d + c * f * d**2, k + 4 * eta * gamma**2 * f * d + c * d**2 * k
    jacobians = np.stack(products)
    expected = np.einsum("tia,ab,sjb->ijts", jacobians, np.diag([1 / gamma**2, 4.0]), jacobians)
    responses = (found.prediction_response, found.tangent_kernel_response)
    for i, left in enumerate(responses):
        for j, right in enumerate(responses):
            np.testing.assert_allclose(left @ right.T, expected[i, j], rtol=1e-10, atol=1e-12)


def test_equal_time_kernel_is_cosh_of_the_accumulated_residual():
    """H = G = cosh 2v = K/2 with v = gamma times the integral of Delta, and at initialization N Var H = 2."""
    found, _ = flow(1.3, [3.0])
    stretch = np.arcsinh(1.3 * found.prediction) / 2
    np.testing.assert_allclose(found.feature_kernel, np.cosh(2 * stretch), rtol=1e-11)
    np.testing.assert_allclose(found.feature_kernel_variance[0], 2.0, rtol=1e-12)


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_rescaling_richness_against_target_leaves_kernels(factor):
    """(gamma, y) -> (c gamma, y/c) leaves K and N Var K and multiplies N Var Delta by 1/c^2."""
    settings = {"learning_rate": 0.1, "steps": 15}
    plain = solve_two_layer_linear(TwoLayerLinearProblem(richness=1.2, target=0.9, **settings))
    other = solve_two_layer_linear(
        TwoLayerLinearProblem(richness=1.2 * factor, target=0.9 / factor, **settings)
    )
    np.testing.assert_allclose(other.tangent_kernel_variance, plain.tangent_kernel_variance, rtol=1e-11)
    np.testing.assert_allclose(other.prediction_variance, plain.prediction_variance / factor**2, rtol=1e-9)


def test_feature_kernel_variance_agrees_with_sampled_networks():
    """4,000 networks of width 400, discrete steps: false-alarm rate 1e-6, resolution 15 % of N Var H."""
    gamma, eta, steps, width, networks = 2.0, 0.2, 6, 400, 4000
    rng = np.random.default_rng(20230407)
    h, w = rng.standard_normal((2, networks, width))
    for _ in range(steps - 1):
        f = (h * w).mean(1, keepdims=True) / gamma
        step = eta * gamma * (1.0 - f)
        h, w = h + step * w, w + step * h
    kernels = (h**2).mean(1)
    problem = TwoLayerLinearProblem(richness=gamma, learning_rate=eta, steps=steps, centered=False)
    found = solve_two_layer_linear(problem)
    # Left over at order 1/N^2: about 10/N of the variance, hence the width.
    threshold = norm.isf(0.5e-6) * np.sqrt(2.0 / networks) + 10.0 / width
    assert threshold < 0.15
    assert abs(width * kernels.var() / found.feature_kernel_variance[-1] - 1.0) < threshold


def test_descent_settles_below_the_critical_richness_only():
    critical = np.sqrt(1 / 0.2**2 - 1)  # eta K = 2 eta sqrt(1 + gamma^2) = 2
    settings = {"learning_rate": 0.2, "steps": 400, "centered": False}
    below = solve_two_layer_linear(TwoLayerLinearProblem(richness=0.97 * critical, **settings))
    above = solve_two_layer_linear(TwoLayerLinearProblem(richness=1.03 * critical, **settings))
    assert abs(below.residual[-1]) < 1e-6
    assert 0.2 * below.tangent_kernel[-1] < 2.0
    assert 0.2 * above.tangent_kernel[-1] < 2.0, "above it, the kernel must have been thrown below 2/eta"
    assert (
        abs(above.tangent_kernel[-1] - 2 * np.sqrt(1 + above.prediction[-1] ** 2 * (1.03 * critical) ** 2))
        > 0.1
    )


@pytest.mark.parametrize(
    "change", [{"richness": 0.0}, {"learning_rate": -1.0}, {"steps": 0}, {"target": float("nan")}]
)
def test_impossible_problems_are_refused_by_name(change):
    with pytest.raises(InputError, match=next(iter(change))):
        TwoLayerLinearProblem(**({"richness": 1.0, "learning_rate": 0.1, "steps": 3} | change))


def test_divergence_is_an_error_and_not_nan():
    with pytest.raises(InputError, match="diverges"):
        solve_two_layer_linear(TwoLayerLinearProblem(richness=1.0, learning_rate=5.0, steps=60))
