"""Networks solved in closed form: the two-layer linear one on one point, and kernels at initialization.

What the theory estimates with errors for any study is here without, where it can be. `docs/exact.md` begins.
"""

from widthwise.exact.gaussian_kernels import GaussianKernels as GaussianKernels
from widthwise.exact.gaussian_kernels import gaussian_kernels as gaussian_kernels
from widthwise.exact.lazy import LazyKernels as LazyKernels
from widthwise.exact.lazy import lazy_kernels as lazy_kernels
from widthwise.exact.two_layer_linear import TwoLayerLinearProblem as TwoLayerLinearProblem
from widthwise.exact.two_layer_linear import TwoLayerLinearSolution as TwoLayerLinearSolution
from widthwise.exact.two_layer_linear import solve_two_layer_linear as solve_two_layer_linear
