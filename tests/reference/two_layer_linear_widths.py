"""Two-layer linear network on one point at every finite width: exact law and moments by quadrature.

The trajectory depends on the start (A_0, B_0) of `widthwise.exact.two_layer_linear` alone, whose law is exact
at every width, so that every average is a two-dimensional integral of a known function.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh_tridiagonal

from widthwise.exact.two_layer_linear import START, TwoLayerLinearProblem


@dataclass(frozen=True)
class FiniteWidthLaw:
    """The law of (f, K) at one width as weighted trajectories: E[q(f, K)] = weights @ q(f, K)."""

    weights: Float[np.ndarray, " node"]
    prediction: Float[np.ndarray, "node step"]
    tangent_kernel: Float[np.ndarray, "node step"]


@dataclass(frozen=True)
class FiniteWidthMoments:
    """Exact means and variances at one width (not multiplied by N); `error` is the
    greatest change of any of them between two quadrature orders."""

    prediction_mean: Float[np.ndarray, " step"]
    prediction_variance: Float[np.ndarray, " step"]
    tangent_kernel_mean: Float[np.ndarray, " step"]
    tangent_kernel_variance: Float[np.ndarray, " step"]
    loss_mean: Float[np.ndarray, " step"]
    error: float


def finite_width_law(problem: TwoLayerLinearProblem, width: int, *, order: int = 64) -> FiniteWidthLaw:
    r"""Trajectories from Gauss-Laguerre nodes of the exact start at width N, `order` nodes for each mode.

    Gradient flow in closed form: $X = e^{2v}$ obeys a Riccati equation with constant coefficients,
    $X' = 2\gamma c X - (A_0 X^2 - B_0)/2$, where c is the target, plus the initial output when centered.

    **Raises:** `ValueError` for a width below 1, or if a node diverges: discrete steps have heavy tails at
    small width, because a rare large $K_0$ makes $\eta K_0 > 2$.
    """
    if width < 1 or order < 2:
        raise ValueError(f"`width` = {width!r} and `order` = {order!r}: give at least 1 and 2")
    nodes, weights = _gamma_nodes(width / 2.0, order)
    upper, lower = (START * grid.ravel() for grid in np.meshgrid(nodes, nodes, indexing="ij"))
    with np.errstate(over="ignore", invalid="ignore"):
        run = _exact_flow if problem.gradient_flow else _exact_steps
        upper, lower = run(problem, upper, lower)
        raw = (upper - lower) / (4.0 * problem.richness)
    if not np.isfinite(raw).all():
        raise ValueError(
            f"discrete steps diverge for some starts at width {width}: lower `learning_rate` = "
            f"{problem.learning_rate}, widen, or take gradient flow"
        )
    prediction = raw - raw[:, :1] if problem.centered else raw
    return FiniteWidthLaw(np.outer(weights, weights).ravel(), prediction, (upper + lower) / 2.0)


def finite_width_moments(
    problem: TwoLayerLinearProblem, width: int, *, order: int = 64
) -> FiniteWidthMoments:
    """Means and variances at width N from `finite_width_law`; error = greatest change against 3/4 `order`.

    **Raises:** as `finite_width_law`; and `ValueError` when the two orders differ by more than 1e-6 of the
    largest moment, which happens when rare unstable starts carry the moments.
    """
    fine, coarse = (_moments(problem, width, n) for n in (order, max(2, 3 * order // 4)))
    error = float(np.abs(fine - coarse).max())
    if not error <= 1e-6 * max(1.0, float(np.abs(fine).max())):
        raise ValueError(
            f"moments at width {width} differ by {error:.1e} between quadrature orders: raise "
            f"`order` = {order}, or lower `learning_rate` if rare starts are unstable"
        )
    return FiniteWidthMoments(*fine, error=error)


def _moments(problem: TwoLayerLinearProblem, width: int, order: int) -> Float[np.ndarray, "moment step"]:
    law = finite_width_law(problem, width, order=order)
    # An unstable start may overflow when squared; the two quadrature orders then disagree and it is reported.
    with np.errstate(over="ignore", invalid="ignore"):
        return _weighted_moments(problem, law)


def _weighted_moments(
    problem: TwoLayerLinearProblem, law: FiniteWidthLaw
) -> Float[np.ndarray, "moment step"]:
    means = [law.weights @ values for values in (law.prediction, law.tangent_kernel)]
    spreads = [
        law.weights @ (values - mean) ** 2
        for values, mean in zip((law.prediction, law.tangent_kernel), means, strict=True)
    ]
    loss = law.weights @ (problem.target - law.prediction) ** 2 / 2.0
    return np.stack([means[0], spreads[0], means[1], spreads[1], loss])


def _gamma_nodes(shape: float, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss nodes and weights for x / shape with x ~ Gamma(shape); stable for every shape, unlike SciPy's."""
    k = np.arange(order)
    off = np.sqrt(k[1:] * (k[1:] + shape - 1.0))
    nodes, vectors = eigh_tridiagonal(2.0 * k + shape, off)
    return nodes / shape, vectors[0] ** 2


def _exact_steps(
    problem: TwoLayerLinearProblem, upper: np.ndarray, lower: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    rate = problem.learning_rate * problem.richness
    start = (upper - lower) / (4.0 * problem.richness) if problem.centered else 0.0
    uppers, lowers = [], []
    for _ in range(problem.steps):
        uppers.append(upper)
        lowers.append(lower)
        pull = rate * (problem.target + start - (upper - lower) / (4.0 * problem.richness))
        upper, lower = (1.0 + pull) ** 2 * upper, (1.0 - pull) ** 2 * lower
    return np.stack(uppers, 1), np.stack(lowers, 1)


def _exact_flow(
    problem: TwoLayerLinearProblem, upper: np.ndarray, lower: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    # X = exp(2 v) has fixed points (goal +- rate) / A; its Moebius image decays as exp(-rate t).
    upper, lower = upper[:, None], lower[:, None]
    goal = 2.0 * problem.richness * problem.target + problem.centered * (upper - lower) / 2.0
    rate = np.hypot(goal, np.sqrt(upper * lower))
    high, low = (goal + rate) / upper, -lower / (goal + rate)
    cancels = goal < 0.0  # there goal + rate loses digits; the product of the fixed points is -B/A
    high = np.where(cancels, lower / np.where(cancels, rate - goal, 1.0), high)
    low = np.where(cancels, (goal - rate) / upper, low)
    image = (1.0 - high) / (1.0 - low) * np.exp(-rate * problem.learning_rate * np.arange(problem.steps))
    growth = (high - low * image) / (1.0 - image)
    return upper * growth, lower / growth
