r"""Kernels at initialization, layer by layer: those of training in the lazy limit, richness -> 0.

$\Phi^l = F(\Phi^{l-1}) = \langle \phi \phi^T \rangle$, $G^l = \dot F(\Phi^{l-1}) \circ G^{l+1}$ with
$\dot F = \langle \phi' \phi'^T \rangle$, $\Phi^0 = K^x$, $G^{L+1} = 1$, and
$K = \sum_{l=0}^L G^{l+1} \circ \Phi^l$.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from widthwise.exact.gaussian_kernels import gaussian_kernels
from widthwise.study.settings import NetworkSettings


@dataclass(frozen=True)
class LazyKernels:
    """Kernels at initialization, l = 1..L; `slope_kernel` = <phi' phi'^T>; `error` of the quadrature."""

    feature_kernel: Float[np.ndarray, "layer point point"]
    gradient_kernel: Float[np.ndarray, "layer point point"]
    slope_kernel: Float[np.ndarray, "layer point point"]
    tangent_kernel: Float[np.ndarray, "point point"]
    error: float


def lazy_kernels(input_kernel: Float[np.ndarray, "point point"], network: NetworkSettings) -> LazyKernels:
    """Kernels of every layer at initialization; exact for linear, relu and erf, quadrature otherwise.

    >>> found = lazy_kernels(np.eye(1), NetworkSettings(hidden_layers=3, activation="linear"))
    >>> print(found.tangent_kernel)
    [[4.]]
    """
    kernel, features, slopes, error = input_kernel, [input_kernel], [], 0.0
    for _ in range(network.hidden_layers):
        found = gaussian_kernels(
            kernel, network.activation, scale=network.activation_scale, gain=network.activation_gain
        )
        kernel, error = found.feature, max(error, found.error)
        features.append(found.feature)
        slopes.append(found.gradient)
    gradients = [np.ones_like(input_kernel)]
    for slope in reversed(slopes):
        gradients.insert(0, slope * gradients[0])
    tangent = sum(above * below for above, below in zip(gradients, features, strict=True))
    return LazyKernels(
        np.stack(features[1:]), np.stack(gradients[:-1]), np.stack(slopes), np.asarray(tangent), error
    )
