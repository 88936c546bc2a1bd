"""Networks solved in closed form: linear ones of one and many layers, and the lazy limit at any depth.

What the theory estimates with errors for any study is here without, where it can be. `docs/exact.md` begins.
"""

from widthwise.exact.deep_linear import DeepLinearProblem, DeepLinearSolution, solve_deep_linear
from widthwise.exact.deep_linear_fluctuations import (
    DeepLinearFluctuations,
    LinearObservable,
    deep_linear_covariance,
    solve_deep_linear_fluctuations,
)
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
from widthwise.exact.two_layer_linear_widths import (
    FiniteWidthLaw,
    FiniteWidthMoments,
    finite_width_law,
    finite_width_moments,
)

__all__ = [
    "DeepLinearFluctuations",
    "DeepLinearProblem",
    "DeepLinearSolution",
    "FiniteWidthLaw",
    "FiniteWidthMoments",
    "GaussianKernels",
    "KernelFluctuations",
    "LazyKernels",
    "LazyLimit",
    "LinearObservable",
    "TwoLayerLinearProblem",
    "TwoLayerLinearSolution",
    "deep_linear_covariance",
    "finite_width_law",
    "finite_width_moments",
    "gaussian_kernels",
    "lazy_kernel_fluctuations",
    "lazy_kernels",
    "solve_deep_linear",
    "solve_deep_linear_fluctuations",
    "solve_lazy_limit",
    "solve_two_layer_linear",
]
