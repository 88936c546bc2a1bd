"""Gaussian averages against printed numbers, direct integration and their symmetries."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate

from widthwise.errors import InputError
from widthwise.exact.gaussian_kernels import (
    activation_functions,
    gaussian_kernels,
)

ACTIVATIONS = ("linear", "relu", "tanh", "erf", "gelu", "softplus")


def integrated(first, second, correlation, scales):
    """E first(h_1) second(h_2) by adaptive integration over the angle and radius-free normals, rho != 1."""

    def density(x, y):
        return np.exp(-0.5 * (x**2 + y**2)) / (2 * np.pi)

    rest = np.sqrt(1 - correlation**2)

    def inner(x):
        corner = -correlation * x / rest  # where relu of the second preactivation turns

        def integrand(y):
            return second(scales[1] * (correlation * x + rest * y)) * density(x, y)

        cuts = [-12.0, float(np.clip(corner, -12, 12)), 12.0]
        parts = [
            integrate.quad(integrand, a, b, epsabs=1e-12, epsrel=1e-11, limit=200)[0]
            for a, b in itertools.pairwise(cuts)
        ]
        return first(scales[0] * x) * sum(parts)

    cuts = (-12.0, 0.0, 12.0)
    return sum(
        integrate.quad(inner, a, b, epsabs=1e-11, epsrel=1e-10, limit=200)[0]
        for a, b in itertools.pairwise(cuts)
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("correlation", [0.35, -0.8])
def test_pairs_agree_with_adaptive_integration(activation, correlation):
    scales = np.array([0.8, 1.3])
    kernel = np.outer(scales, scales) * np.array([[1, correlation], [correlation, 1]])
    phi, slope = activation_functions(activation, 0.7, 1.4)
    found = gaussian_kernels(kernel, activation, scale=0.7, gain=1.4)
    assert found.error < 1e-10
    expected = [integrated(f, f, correlation, scales) for f in (phi, slope)]
    np.testing.assert_allclose([found.feature[0, 1], found.gradient[0, 1]], expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize(
    ("activation", "scale", "gain", "expected"),
    [
        ("tanh", 0.4, 1.0, 1.561980350),
        ("tanh", 1.0, 1.0, 0.8586973928),
        ("relu", 1.0, np.sqrt(2.0), 2.0),
        ("linear", 1.0, 1.0, 2.0),
    ],
)
def test_tangent_kernel_of_one_point_is_the_printed_number(activation, scale, gain, expected):
    found = gaussian_kernels(np.ones((1, 1)), activation, scale=scale, gain=gain)
    np.testing.assert_allclose(found.feature + found.gradient, expected, rtol=1e-9)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_identical_and_opposite_points_reduce_to_one_variable(activation):
    """Correlation exactly 1 and -1, also between points of different length, against one-variable sums."""
    factor = np.array([1.1, 1.1, -1.1, 0.6])
    phi, slope = activation_functions(activation, 1.0, 1.0)
    found = gaussian_kernels(np.outer(factor, factor), activation)
    for kernel, function in ((found.feature, phi), (found.gradient, slope)):
        for row, a in enumerate(factor):
            for column, b in enumerate(factor):
                sides = [
                    integrate.quad(
                        lambda z, f=function, a=a, b=b: f(a * z) * f(b * z) * np.exp(-(z**2) / 2), *side
                    )[0]
                    for side in ((-14, 0), (0, 14))
                ]
                np.testing.assert_allclose(
                    kernel[row, column], sum(sides) / np.sqrt(2 * np.pi), rtol=1e-9, atol=1e-10
                )


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_point_at_the_origin_has_the_constant_preactivation_zero(activation):
    kernel = np.array([[1.0, 0.0], [0.0, 0.0]])
    phi, slope = activation_functions(activation, 1.0, 1.0)
    found = gaussian_kernels(kernel, activation)
    np.testing.assert_allclose(found.feature[1, 1], phi(np.array(0.0)) ** 2, atol=1e-12)
    np.testing.assert_allclose(found.gradient[1, 1], slope(np.array(0.0)) ** 2, atol=1e-12)


@given(
    st.sampled_from(ACTIVATIONS),
    st.lists(st.lists(st.floats(-2, 2), min_size=3, max_size=3), min_size=2, max_size=4),
    st.randoms(use_true_random=False),
)
def test_kernels_are_positive_and_follow_permutations(activation, rows, random):
    inputs = np.array(rows)
    order = list(range(len(inputs)))
    random.shuffle(order)
    kernel = inputs @ inputs.T / 3
    found = gaussian_kernels(kernel, activation)
    shuffled = gaussian_kernels(kernel[np.ix_(order, order)], activation)
    for plain, other in ((found.feature, shuffled.feature), (found.gradient, shuffled.gradient)):
        np.testing.assert_allclose(other, plain[np.ix_(order, order)], rtol=1e-9, atol=1e-10)
        assert np.linalg.eigvalsh(plain)[0] > -1e-8 * max(1.0, plain.max())


def test_a_steep_activation_reports_its_quadrature_error():
    """tanh(40 h): poles close to the real line. The stated error must cover the real one."""
    found = gaussian_kernels(np.ones((1, 1)), "tanh", scale=40.0, gain=40.0)
    exact = integrate.quad(
        lambda z: np.tanh(40 * z) ** 2 * np.exp(-(z**2) / 2) * np.sqrt(2 / np.pi), 0, 12, points=[0.02, 0.1]
    )[0]
    assert 1e-6 < abs(found.feature[0, 0] - exact) < 2 * found.error


@pytest.mark.parametrize(
    "kernel",
    [
        np.array([[1.0, 2.0], [2.0, 1.0]]),
        np.array([[1.0, 0.5], [0.2, 1.0]]),
        np.array([[np.nan]]),
        -np.eye(1),
    ],
)
def test_what_is_no_covariance_is_refused(kernel):
    with pytest.raises(InputError, match="preactivation_kernel"):
        gaussian_kernels(kernel, "tanh")
