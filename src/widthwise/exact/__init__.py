"""Networks solved in closed form: the two-layer linear one on one point, and kernels at initialization.

What the theory estimates with errors for any study is here without, where it can be. `docs/exact.md` begins.
"""

from widthwise.exact.gaussian_kernels import GaussianKernels, gaussian_kernels
from widthwise.exact.lazy import LazyKernels, lazy_kernels
from widthwise.exact.two_layer_linear import (
    TwoLayerLinearProblem,
    TwoLayerLinearSolution,
    solve_two_layer_linear,
)

__all__ = [
    "GaussianKernels",
    "LazyKernels",
    "TwoLayerLinearProblem",
    "TwoLayerLinearSolution",
    "gaussian_kernels",
    "lazy_kernels",
    "solve_two_layer_linear",
]
