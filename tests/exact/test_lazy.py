"""Kernels at initialization at any depth, in closed form."""

import numpy as np

from widthwise.exact.lazy import lazy_kernels
from widthwise.study.settings import NetworkSettings

KERNEL = np.array([[1.0, 0.4], [0.4, 0.8]])


def test_kernels_of_two_layers_of_erf_in_closed_form():
    def erf_layer(kernel):
        norms = 1.0 + 2.0 * np.diagonal(kernel)
        product = np.sqrt(np.outer(norms, norms))
        feature = 2 / np.pi * np.arcsin(2 * kernel / product)
        return feature, 4 / np.pi / np.sqrt(product**2 - 4 * kernel**2)

    first, slope_a = erf_layer(KERNEL)
    second, slope_b = erf_layer(first)
    found = lazy_kernels(KERNEL, NetworkSettings(hidden_layers=2, activation="erf"))
    np.testing.assert_allclose(found.feature_kernel, np.stack([first, second]), rtol=1e-12)
    np.testing.assert_allclose(found.gradient_kernel, np.stack([slope_a * slope_b, slope_b]), rtol=1e-12)
    np.testing.assert_allclose(
        found.tangent_kernel, slope_a * slope_b * KERNEL + slope_b * first + second, rtol=1e-12
    )
