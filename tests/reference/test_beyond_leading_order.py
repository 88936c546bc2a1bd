"""Series in 1/N against every moment of the two-layer linear network: where they help and where they fail."""

import numpy as np
import pytest
from beyond_leading_order import pade_ratio, two_layer_linear_series
from two_layer_linear_widths import finite_width_moments

from widthwise.errors import InputError
from widthwise.exact.two_layer_linear import TwoLayerLinearProblem, solve_two_layer_linear


def problem(richness, learning_rate, steps, **change):
    return TwoLayerLinearProblem(richness=richness, learning_rate=learning_rate, steps=steps, **change)


def greatest_errors(values, exact):
    return np.array([np.abs(value - exact).max() for value in values])


@pytest.mark.parametrize("centered", [True, False])
def test_the_first_coefficients_are_the_shifts_and_variances_of_order_one(centered):
    case = problem(1.7, 0.05, 30, target=-0.8, centered=centered)
    series, theory = two_layer_linear_series(case, 1), solve_two_layer_linear(case)
    for found, value, shift, variance in (
        (series.residual, theory.residual, -theory.prediction_shift, theory.prediction_variance),
        (
            series.tangent_kernel,
            theory.tangent_kernel,
            theory.tangent_kernel_shift,
            theory.tangent_kernel_variance,
        ),
    ):
        np.testing.assert_allclose(found.coefficients, np.stack([value, shift]), rtol=1e-10, atol=1e-12)
        square = series.residual_square if found is series.residual else series.tangent_kernel_square
        expected = 2 * value * shift + variance
        np.testing.assert_allclose(square.coefficients[1], expected, rtol=1e-10, atol=1e-11)
    np.testing.assert_allclose(series.loss.coefficients[1], theory.loss_shift, rtol=1e-10, atol=1e-12)


def test_the_start_is_exact_at_every_order():
    """<K_0^2> = 4 + 4/N and <Delta_0^2> = y^2 + 1/(N gamma^2), uncentered, with nothing beyond."""
    series = two_layer_linear_series(problem(2.0, 0.1, 1, centered=False), 4)
    np.testing.assert_allclose(series.tangent_kernel_square.coefficients[:, 0], [4, 4, 0, 0, 0], atol=1e-9)
    np.testing.assert_allclose(series.residual_square.coefficients[:, 0], [1, 0.25, 0, 0, 0], atol=1e-9)
    # <e^{NV}> of two chi-squared variables: (1 + 1/(6N) + 1/(72 N^2) + ...)^2, Stirling's series.
    np.testing.assert_allclose(series.loss.denominator[:3], [1, 1 / 3, 1 / 18], rtol=1e-10)


@pytest.mark.parametrize("form", ["expansion", "ratio"])
def test_every_order_improves_where_fluctuations_are_small(form):
    case, width = problem(2.0, 0.01, 120), 50
    series, exact = two_layer_linear_series(case, 4), finite_width_moments(case, width)
    for found, truth in (
        (series.residual, case.target - exact.prediction_mean),
        (series.loss, exact.loss_mean),
        (series.tangent_kernel_square, exact.tangent_kernel_variance + exact.tangent_kernel_mean**2),
    ):
        errors = greatest_errors([getattr(found, form)(width, order) for order in range(5)], truth)
        assert (errors[1:3] < errors[:2] / 10).all(), errors
        assert (errors[3:] < errors[2:4] / 5).all(), errors


def test_late_at_small_width_leading_order_fails_and_low_orders_do_not_mend_it():
    case = problem(0.5, 0.02, 150)
    series, exact = two_layer_linear_series(case, 4), finite_width_moments(case, 16)
    ratios = np.array([series.loss.expansion(16, order)[-1] for order in range(5)]) / exact.loss_mean[-1]
    assert ratios[1] < 0.25
    assert ratios[2] < 0.6
    assert abs(ratios[4] - 1.0) < 0.03
    exact = finite_width_moments(case, 6)
    truth = case.target - exact.prediction_mean[-1]
    errors = [abs(series.residual.expansion(6, order)[-1] / truth - 1.0) for order in range(5)]
    assert errors[3] > 10 * errors[2], "the orders must be seen to scatter here"
    assert abs(series.loss.expansion(6, 4)[-1] / exact.loss_mean[-1] - 1.0) > 0.1


def test_the_ratio_of_order_one_is_worse_here_than_the_expansion():
    case, width = problem(2.0, 0.01, 120), 50
    coefficients = two_layer_linear_series(case, 1).residual.coefficients
    truth = case.target - finite_width_moments(case, width).prediction_mean
    errors = greatest_errors(
        [coefficients[0] + coefficients[1] / width, pade_ratio(coefficients[0], coefficients[1], width)],
        truth,
    )
    assert errors[1] > 2 * errors[0]


def test_the_ratio_is_exact_for_a_geometric_average_and_stays_positive():
    """<O> = 3 / (1 + 40/N) has shift -120: at N = 20 the plain expansion is negative."""
    value, shift = np.array([3.0, 0.0]), np.array([-120.0, 2.0])
    found = pade_ratio(value, shift, 20.0)
    np.testing.assert_allclose(found, [1.0, 0.1], rtol=1e-12)
    assert value[0] + shift[0] / 20.0 < 0.0


def test_what_has_no_series_is_refused():
    with pytest.raises(InputError, match="pole at width 40"):
        pade_ratio(np.array([1.0]), np.array([40.0]), 30.0)
    with pytest.raises(InputError, match="gradient_flow"):
        two_layer_linear_series(problem(1.0, 0.1, 3, gradient_flow=True))
    with pytest.raises(InputError, match="order"):
        two_layer_linear_series(problem(1.0, 0.1, 3), 5)
    series = two_layer_linear_series(problem(1.0, 0.1, 3), 2)
    with pytest.raises(InputError, match="0 to 2"):
        series.loss.expansion(10, 3)
    with pytest.raises(InputError, match="width"):
        series.loss.ratio(0, 1)
