r"""Gaussian averages of an activation: closed forms where they exist, quadrature elsewhere.

For $h \sim N(0, H)$ and $\phi(h) = g\,\mathrm{act}(a h)/a$:
$\Phi = \langle \phi \phi^T \rangle$ and $\langle \phi' \phi'^T \rangle$, which at initialization of one
hidden layer is the gradient kernel. NumPy and SciPy only, float64.

**Source:** Williams (1997), Computing with infinite networks, for erf; Cho & Saul (2009), Kernel methods for
deep learning, for relu.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import numpy as np
from jaxtyping import Float
from scipy import special

from widthwise.errors import InputError
from widthwise.study.settings import Activation

Elementwise = Callable[[np.ndarray], np.ndarray]

_FUNCTIONS: dict[str, tuple[Elementwise, Elementwise]] = {
    "linear": (lambda h: h, np.ones_like),
    "relu": (lambda h: np.maximum(h, 0.0), lambda h: np.where(h > 0.0, 1.0, 0.0)),
    "tanh": (np.tanh, lambda h: 1.0 - np.tanh(h) ** 2),
    "erf": (special.erf, lambda h: 2.0 / np.sqrt(np.pi) * np.exp(-(h**2))),
    "gelu": (
        lambda h: h * special.ndtr(h),
        lambda h: special.ndtr(h) + h * np.exp(-0.5 * h**2) / np.sqrt(2.0 * np.pi),
    ),
    "softplus": (lambda h: np.logaddexp(0.0, h), special.expit),
}
SPACINGS = (1 / 3, 1 / 5, 1 / 8, 1 / 12, 1 / 20)  # of the trapezoidal rule, tried until two agree
REACH = 9.5  # standard deviations covered; the density beyond is below 1e-20
AGREEMENT = 1e-13
ROUNDING = 1e-9  # by which a correlation may exceed 1


@dataclass(frozen=True)
class GaussianKernels:
    """`feature` = <phi phi^T>, `gradient` = <phi' phi'^T>; `error` = greatest change between the last two
    spacings of the quadrature, 0 for a closed form."""

    feature: Float[np.ndarray, "point point"]
    gradient: Float[np.ndarray, "point point"]
    error: float


def activation_functions(
    activation: Activation, scale: float, gain: float
) -> tuple[Elementwise, Elementwise]:
    """phi(h) = gain act(scale h) / scale and its derivative, as NumPy functions.

    >>> phi, slope = activation_functions("tanh", 0.4, 1.0)
    >>> print(phi(np.array(0.0)), slope(np.array(0.0)))
    0.0 1.0
    """
    if activation not in _FUNCTIONS:
        raise InputError(f"`activation` = {activation!r}: choose one of {', '.join(get_args(Activation))}")
    if not (scale > 0 and gain > 0):
        raise InputError(f"`scale` = {scale!r} and `gain` = {gain!r}: give positive numbers")
    act, slope = _FUNCTIONS[activation]
    return lambda h: gain / scale * act(scale * h), lambda h: gain * slope(scale * h)


def gaussian_kernels(
    preactivation_kernel: Float[np.ndarray, "point point"],
    activation: Activation,
    *,
    scale: float = 1.0,
    gain: float = 1.0,
) -> GaussianKernels:
    """Feature kernel and derivative kernel of Gaussian preactivations.

    linear, relu and erf in closed form; tanh, gelu and softplus by the trapezoidal rule in two independent
    variables for each pair, which stays accurate at correlations of exactly 1 and -1. For functions analytic
    in a strip of half-width d its error is exp(-2 pi d / spacing): for tanh(h) of one unit-variance point 77
    nodes reach 3e-13, where Gauss-Hermite nodes, pushed out by their own density, reach 1e-8 with 80.

    **Arguments:** `preactivation_kernel` H, symmetric, positive semi-definite, may be singular.
    **Raises:** `InputError` for a matrix that is not a covariance.

    >>> print(gaussian_kernels(np.array([[0.5]]), "erf").feature.round(4))
    [[0.3333]]
    """
    kernel = checked_kernel(preactivation_kernel)
    activation_functions(activation, scale, gain)
    match activation:
        case "linear":
            return GaussianKernels(gain**2 * kernel, np.full_like(kernel, gain**2), 0.0)
        case "relu":
            feature, gradient = _arc_cosine(kernel)
            return GaussianKernels(gain**2 * feature, gain**2 * gradient, 0.0)
        case "erf":
            feature, gradient = _arc_sine(scale**2 * kernel)
            return GaussianKernels((gain / scale) ** 2 * feature, gain**2 * gradient, 0.0)
    functions = activation_functions(activation, scale, gain)
    error, coarse = np.inf, _by_quadrature(kernel, functions, SPACINGS[0])
    for spacing in SPACINGS[1:]:
        fine = _by_quadrature(kernel, functions, spacing)
        error, coarse = float(np.abs(fine - coarse).max()), fine
        if error <= AGREEMENT * np.abs(fine).max():
            break
    return GaussianKernels(coarse[0], coarse[1], error)


def checked_kernel(kernel: np.ndarray) -> np.ndarray:
    """The kernel, symmetrized to rounding, if it can be a covariance pair by pair."""
    kernel = np.asarray(kernel, dtype=np.float64)
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1] or not np.isfinite(kernel).all():
        raise InputError(f"`preactivation_kernel` of shape {kernel.shape}: give a finite square matrix")
    scales = np.sqrt(np.maximum(np.diagonal(kernel), 0.0))
    size = max(float(np.abs(kernel).max(initial=0.0)), np.finfo(float).tiny)
    symmetric = np.abs(kernel - kernel.T).max(initial=0.0) <= ROUNDING * size
    bounded = (np.abs(kernel) <= np.outer(scales, scales) + ROUNDING * size).all()
    if not (symmetric and bounded):
        raise InputError(
            "`preactivation_kernel` is no covariance: it must be symmetric, positive semi-definite"
        )
    return (kernel + kernel.T) / 2.0


def _correlation(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations and correlations, exactly +-1 within rounding of it, 1 on the diagonal."""
    scales = np.sqrt(np.maximum(np.diagonal(kernel), 0.0))
    product = np.outer(scales, scales)
    correlation = np.divide(kernel, product, out=np.zeros_like(kernel), where=product > 0.0)
    near = np.abs(correlation) > 1.0 - 8.0 * np.finfo(float).eps
    correlation = np.where(near, np.sign(correlation), correlation)
    np.fill_diagonal(correlation, 1.0)
    return scales, correlation


def _arc_cosine(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    scales, cosine = _correlation(kernel)
    angle = np.arccos(cosine)
    shape = np.sqrt((1.0 - cosine) * (1.0 + cosine)) + (np.pi - angle) * cosine
    alive = np.outer(scales > 0.0, scales > 0.0)  # relu'(0) = 0 for a preactivation that is always 0
    return np.outer(scales, scales) * shape / (2.0 * np.pi), alive * (np.pi - angle) / (2.0 * np.pi)


def _arc_sine(kernel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    norms = 1.0 + 2.0 * np.diagonal(kernel)
    product = np.outer(norms, norms)
    feature = 2.0 / np.pi * np.arcsin(2.0 * kernel / np.sqrt(product))
    return feature, 4.0 / np.pi / np.sqrt(product - 4.0 * kernel**2)


def _by_quadrature(
    kernel: np.ndarray, functions: tuple[Elementwise, Elementwise], spacing: float
) -> Float[np.ndarray, "2 point point"]:
    scales, correlation = _correlation(kernel)
    x, weights = trapezoid(spacing)
    rest = np.sqrt((1.0 - correlation) * (1.0 + correlation))
    results = np.empty((2, *kernel.shape))
    for row, scale in enumerate(scales):
        # The second variable of a pair: rho x + sqrt(1 - rho^2) x', an average over x' for each x.
        mixed = correlation[row, :, None, None] * x[:, None] + rest[row, :, None, None] * x
        for which, function in enumerate(functions):
            partner = function(scales[:, None, None] * mixed) @ weights
            results[which, row] = partner @ (weights * function(scale * x))
    return (results + np.swapaxes(results, 1, 2)) / 2.0


def trapezoid(spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Equally spaced nodes with the weights of the standard normal distribution."""
    half = int(REACH / spacing)
    nodes = spacing * np.arange(-half, half + 1)
    density = np.exp(-0.5 * nodes**2)
    return nodes, density / density.sum()
