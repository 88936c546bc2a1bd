"""Nodes of Gaussian averages against the closed kernels and moments."""

import numpy as np
import pytest
from gaussian_nodes import gaussian_nodes, sampled_nodes

from widthwise.exact.gaussian_kernels import activation_functions, gaussian_kernels

ACTIVATIONS = ("linear", "relu", "tanh", "erf", "gelu", "softplus")


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("rank", [0, 1, 2])
def test_nodes_average_to_the_kernels(activation, rank):
    """Four points of low rank: the closed forms for products of two, Gaussian moments for fields."""
    inputs = np.array([[1.0, 0.2], [-0.3, 0.9], [0.5, -1.1], [1.0, 0.2]]) * (np.arange(2) < rank)
    kernel = inputs @ inputs.T
    nodes = gaussian_nodes(kernel, activation, spacing=0.15)
    phi, slope = activation_functions(activation, 1.0, 1.0)
    found = gaussian_kernels(kernel, activation)
    for function, expected in ((phi, found.feature), (slope, found.gradient), (lambda h: h, kernel)):
        values = function(nodes.fields)
        np.testing.assert_allclose((values.T * nodes.weights) @ values, expected, rtol=1e-8, atol=1e-9)


def test_relu_nodes_are_exact_for_four_features():
    """E phi_1^2 phi_2^2 = [(1 + 2 c^2)(pi - theta) + 3 c s] / (2 pi), the arc-cosine kernel of order 2."""
    angle = 1.1
    inputs = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])
    nodes = gaussian_nodes(inputs @ inputs.T, "relu", spacing=1.0)
    features = np.maximum(nodes.fields, 0.0)
    c, s = np.cos(angle), np.sin(angle)
    expected = ((1 + 2 * c**2) * (np.pi - angle) + 3 * c * s) / (2 * np.pi)
    np.testing.assert_allclose(nodes.weights @ (features**2).prod(1), expected, rtol=1e-12)


def test_sampled_nodes_have_the_covariance_asked_for():
    """4,096 Sobol samples: second moments far closer than plain sampling's 2 %."""
    kernel = np.array([[1.0, 0.5, 0.1], [0.5, 2.0, -0.4], [0.1, -0.4, 0.7]])
    nodes = sampled_nodes(kernel, power=12, seed=3)
    np.testing.assert_allclose((nodes.fields.T * nodes.weights) @ nodes.fields, kernel, atol=4e-3)


def test_three_independent_points_are_refused_with_advice():
    with pytest.raises(ValueError, match="sampled_nodes"):
        gaussian_nodes(np.eye(3), "tanh", spacing=0.5)
