"""How fast each direction of function space learns, and how much of the task lies there."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Spectrum(NamedTuple):
    """Eigenvalues of K / P, descending, and the power of the targets in each eigenvector."""

    eigenvalue: Float[Array, "mode"]
    task_power: Float[Array, "mode"]


def mode_count(train: int, points: int, modes: int) -> int:
    """How many modes are kept: `modes`, or as many as there are points that the spectrum is taken of."""
    return min(modes, train or points)


def spectrum(
    kernel: Float[Array, "point point"], targets: Float[Array, "point output"], train: int, modes: int
) -> Spectrum:
    r"""The leading eigenvalues of the tangent kernel and the task power, of the recorded training points.

    $$K / P = U \, diag(\lambda) \, U^T, \qquad c_k = \sum_c (u_k \cdot y_c)^2$$

    In the lazy limit, at rate eta of a loss summed over points, c_k is what mode k adds to the squared
    residual, which falls as exp(-2 eta P lambda_k steps). Both are O(1) in width.

    **Arguments:** `kernel`, K, its antisymmetric part of rounding is dropped; `train`, how many of the points
    are training points, first: P is their number, or that of all points if there are none.
    **Returns:** `mode_count` of each, eigenvalues descending. Eigenvalues are good to rounding times the
    largest; where two lie that close only the sum of their powers means anything. All of c_k sum to |y|^2.
    """
    points = train or len(kernel)
    part, y = kernel[:points, :points], targets[:points].astype(kernel.dtype)
    values, vectors = jnp.linalg.eigh((part + part.T) / (2 * points))
    power = ((vectors.T @ y) ** 2).sum(1)
    kept = mode_count(train, len(kernel), modes)
    return Spectrum(values[::-1][:kept], power[::-1][:kept])
