"""Moments at finite width: against exact moments of the start, sampled networks, and order 1/N."""

import numpy as np
import pytest
from scipy.stats import norm
from two_layer_linear_widths import finite_width_law, finite_width_moments

from widthwise.exact.two_layer_linear import TwoLayerLinearProblem, solve_two_layer_linear


@pytest.mark.parametrize("width", [1, 2, 7, 1000])
def test_moments_of_the_start_are_exact_at_every_width(width):
    """Var K_0 = 4/N, Var gamma f_0 = 1/N, E (K_0 - 2)^3 = 8/N^2 (chi-squared, two modes)."""
    problem = TwoLayerLinearProblem(richness=2.0, learning_rate=0.1, steps=1, centered=False)
    found = finite_width_moments(problem, width, order=16)
    np.testing.assert_allclose(found.tangent_kernel_mean, 2.0, rtol=1e-12)
    np.testing.assert_allclose(found.tangent_kernel_variance, 4.0 / width, rtol=1e-10)
    np.testing.assert_allclose(found.prediction_variance, 1.0 / (4.0 * width), rtol=1e-10)
    law = finite_width_law(problem, width, order=16)
    third = law.weights @ (law.tangent_kernel[:, 0] - 2.0) ** 3
    np.testing.assert_allclose(third, 16.0 / width**2, rtol=1e-8)


def sampled_trajectories(problem, width, networks, rng):
    """(prediction, K) of sampled networks at the last step; gradient flow by ten RK4 substeps a step."""
    h, w = rng.standard_normal((2, networks, width))
    gamma = problem.richness
    start = (h * w).mean(1) / gamma

    def velocity(h, w):
        f = (h * w).mean(1) / gamma - problem.centered * start
        pull = (gamma * (problem.target - f))[:, None]
        return pull * w, pull * h

    substeps = 10 if problem.gradient_flow else 1
    dt = problem.learning_rate / substeps
    for _ in range((problem.steps - 1) * substeps):
        a = velocity(h, w)
        if problem.gradient_flow:
            b = velocity(h + dt / 2 * a[0], w + dt / 2 * a[1])
            c = velocity(h + dt / 2 * b[0], w + dt / 2 * b[1])
            d = velocity(h + dt * c[0], w + dt * c[1])
            a = tuple((p + 2 * q + 2 * r + s) / 6 for p, q, r, s in zip(a, b, c, d, strict=True))
        h, w = h + dt * a[0], w + dt * a[1]
    return (h * w).mean(1) / gamma - problem.centered * start, (h**2 + w**2).mean(1)


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize(("width", "steps", "gradient_flow"), [(3, 5, True), (20, 4, False)])
def test_narrow_widths_agree_with_sampled_networks(centered, width, steps, gradient_flow, seed):
    """100,000 networks: false-alarm rate 1e-6 a number, resolution 6 % of each variance."""
    problem = TwoLayerLinearProblem(
        richness=0.6, learning_rate=0.08, steps=steps, centered=centered, gradient_flow=gradient_flow
    )
    networks, quantile = 100_000, norm.isf(0.5e-6)
    f, kernel = sampled_trajectories(problem, width, networks, np.random.default_rng(seed))
    found = finite_width_moments(problem, width, order=48)
    for sample, mean in (
        (f, found.prediction_mean),
        (kernel, found.tangent_kernel_mean),
        ((1.0 - f) ** 2 / 2.0, found.loss_mean),
    ):
        assert abs(sample.mean() - mean[-1]) < quantile * sample.std() / np.sqrt(networks)
    for sample, variance in ((f, found.prediction_variance), (kernel, found.tangent_kernel_variance)):
        squares = (sample - sample.mean()) ** 2
        threshold = quantile * squares.std() / np.sqrt(networks)
        assert threshold < 0.06 * variance[-1]
        assert abs(squares.mean() - variance[-1]) < threshold


@pytest.mark.parametrize("gradient_flow", [True, False])
@pytest.mark.parametrize("centered", [True, False])
def test_wide_moments_approach_order_one_over_width(centered, gradient_flow):
    """N Var and N (mean - limit), extrapolated from N = 4,000 and 8,000 to remove the next order."""
    problem = TwoLayerLinearProblem(
        richness=1.5,
        target=0.8,
        learning_rate=0.1,
        steps=12,
        centered=centered,
        gradient_flow=gradient_flow,
    )
    limit = solve_two_layer_linear(problem)

    def scaled(width):
        found = finite_width_moments(problem, width, order=40)
        return width * np.stack(
            [
                found.prediction_variance,
                found.tangent_kernel_variance,
                found.prediction_mean - limit.prediction,
                found.tangent_kernel_mean - limit.tangent_kernel,
                found.loss_mean - limit.loss,
            ]
        )

    extrapolated = 2.0 * scaled(8000) - scaled(4000)
    expected = [
        limit.prediction_variance,
        limit.tangent_kernel_variance,
        limit.prediction_shift,
        limit.tangent_kernel_shift,
        limit.loss_shift,
    ]
    np.testing.assert_allclose(extrapolated, expected, rtol=1e-5, atol=1e-6)


def test_closed_flow_is_the_limit_of_small_steps():
    """Steps of eta/64 and eta/128, extrapolated: the Riccati solution without its formula."""

    def law(substeps, flow):
        problem = TwoLayerLinearProblem(
            richness=2.0,
            target=-1.1,
            learning_rate=0.05 / substeps,
            steps=20 * substeps + 1,
            centered=False,
            gradient_flow=flow,
        )
        found = finite_width_law(problem, 8, order=6)
        return np.stack([found.prediction[:, ::substeps], found.tangent_kernel[:, ::substeps]])

    extrapolated = 2.0 * law(128, False) - law(64, False)
    np.testing.assert_allclose(law(1, True), extrapolated, rtol=2e-4, atol=2e-4)


def test_rare_unstable_starts_are_reported():
    problem = TwoLayerLinearProblem(richness=1.0, learning_rate=0.3, steps=40)
    with pytest.raises(ValueError, match="learning_rate"):
        finite_width_moments(problem, 3)


def test_width_zero_is_refused():
    with pytest.raises(ValueError, match="width"):
        finite_width_law(TwoLayerLinearProblem(richness=1.0, learning_rate=0.1, steps=2), 0)
