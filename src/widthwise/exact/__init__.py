"""Networks solved in closed form: the two-layer linear one on one point, and the lazy limit at any depth.

What the theory estimates with errors for any study is here without, where it can be. `docs/exact.md` begins.
"""

from widthwise.exact.gaussian_kernels import GaussianKernels, gaussian_kernels
from widthwise.exact.lazy import (
    KernelFluctuations,
    LazyKernels,
    LazyLimit,
    lazy_kernel_fluctuations,
    lazy_kernels,
    solve_lazy_limit,
)
from widthwise.exact.two_layer_linear import (
    TwoLayerLinearProblem,
    TwoLayerLinearSolution,
    solve_two_layer_linear,
)

__all__ = [
    "GaussianKernels",
    "KernelFluctuations",
    "LazyKernels",
    "LazyLimit",
    "TwoLayerLinearProblem",
    "TwoLayerLinearSolution",
    "gaussian_kernels",
    "lazy_kernel_fluctuations",
    "lazy_kernels",
    "solve_lazy_limit",
    "solve_two_layer_linear",
]
