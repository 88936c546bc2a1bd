"""Nodes of Gaussian averages: quadrature for one or two independent points, samples for more."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import special
from scipy.stats import qmc

from widthwise.exact.gaussian_kernels import checked_kernel, trapezoid
from widthwise.study.settings import Activation

RANK_TOLERANCE = 1e-10  # of the largest eigenvalue


@dataclass(frozen=True)
class GaussianNodes:
    """Preactivations with weights that sum to 1: an average is weights @ function(fields)."""

    fields: Float[np.ndarray, "node point"]
    weights: Float[np.ndarray, " node"]


def kernel_rank(kernel: Float[np.ndarray, "point point"]) -> int:
    """How many independent variables a covariance has, to 1e-10 of its largest eigenvalue."""
    values = np.linalg.eigvalsh(kernel)
    return int((values > RANK_TOLERANCE * max(values[-1], np.finfo(float).tiny)).sum())


def gaussian_nodes(
    preactivation_kernel: Float[np.ndarray, "point point"], activation: Activation, *, spacing: float
) -> GaussianNodes:
    """Quadrature nodes of N(0, H) for H of rank at most 2, whatever the number of points.

    Trapezoidal rule in the one or two independent variables, (19 / `spacing`)^rank nodes. For linear and
    relu few nodes make products of two or four features, with derivatives in pairs, exact to rounding: for
    relu in polar coordinates, broken where a preactivation changes sign.

    **Raises:** `ValueError` for rank above 2.
    """
    kernel = checked_kernel(preactivation_kernel)
    rank = kernel_rank(kernel)
    if rank > 2:
        raise ValueError(
            f"inputs of rank {rank}: quadrature covers rank 1 and 2 (one or two independent points); "
            "pass sampled nodes, as from `sampled_nodes`"
        )
    values, vectors = np.linalg.eigh(kernel)
    kept = slice(len(values) - rank, None)
    factor = vectors[:, kept] * np.sqrt(values[kept])
    if rank == 0:
        return GaussianNodes(np.zeros((1, len(kernel))), np.ones(1))
    if rank == 2 and activation == "relu":
        return _polar_nodes(factor)
    # Four symmetric Gauss nodes are exact to degree 7, and none lies on the corner of relu.
    points, weights = _gauss(4) if activation in ("relu", "linear") else trapezoid(spacing)
    normals = np.stack([grid.ravel() for grid in np.meshgrid(*[points] * rank)], 1)
    products = np.prod(np.meshgrid(*[weights] * rank), 0).ravel()
    return GaussianNodes(normals @ factor.T, products)


def sampled_nodes(
    preactivation_kernel: Float[np.ndarray, "point point"], *, power: int, seed: int
) -> GaussianNodes:
    """2^`power` scrambled Sobol samples of N(0, H), of equal weight, for any rank."""
    values, vectors = np.linalg.eigh(checked_kernel(preactivation_kernel))
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    uniform = qmc.Sobol(len(values), rng=np.random.default_rng(seed)).random_base2(power)
    # A point in the first cell could be 0 exactly; half a cell keeps the normal finite.
    normals = special.ndtri(np.maximum(uniform, 2.0**-32))
    return GaussianNodes(normals[:, ::-1] @ factor.T, np.full(2**power, 2.0**-power))


def _gauss(order: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Hermite nodes and weights of the standard normal distribution."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    return nodes, weights / weights.sum()


def _polar_nodes(factor: np.ndarray, arc_order: int = 16) -> GaussianNodes:
    # Integrands are radius^0, ^2 or ^4 times a trigonometric polynomial on each arc between sign changes;
    # two radii are exact to radius^6.
    directions = np.arctan2(factor[:, 1], factor[:, 0])
    breaks = np.unique(np.concatenate([[0.0], np.mod(directions + np.pi / 2, 2 * np.pi)]))
    breaks = np.unique(np.concatenate([breaks, np.mod(directions - np.pi / 2, 2 * np.pi), [2 * np.pi]]))
    nodes, weights = np.polynomial.legendre.leggauss(arc_order)
    half, middle = np.diff(breaks) / 2.0, (breaks[1:] + breaks[:-1]) / 2.0
    angles = (middle[:, None] + half[:, None] * nodes).ravel()
    angle_weights = (half[:, None] * weights).ravel() / (2.0 * np.pi)
    squares, radius_weights = np.polynomial.laguerre.laggauss(2)
    radii = np.sqrt(2.0 * squares)
    circle = np.stack([np.cos(angles), np.sin(angles)], 1) @ factor.T
    fields = (radii[:, None, None] * circle).reshape(-1, len(factor))
    return GaussianNodes(fields, np.outer(radius_weights, angle_weights).ravel())
