r"""Two-layer linear network on one point: infinite width and order 1/N, closed.

With $|x|^2 = D$, hidden fields $h$ and readout $w$, both N(0,1)^N at initialization, the two modes
$p = (h + w)/\sqrt 2$ and $m = (h - w)/\sqrt 2$ only stretch: with $A = 2|p|^2/N$ and $B = 2|m|^2/N$

$$f_{raw} = (A - B) / 4 \gamma, \quad K = (A + B)/2, \quad
A \to (1 + \eta\gamma\Delta)^2 A, \quad B \to (1 - \eta\gamma\Delta)^2 B$$

for a step of gradient descent, and $A = A_0 e^{2v}$, $B = B_0 e^{-2v}$, $v' = \gamma \Delta$ for gradient
flow. Every width differs only in the start: $N A_0 / 2$ and $N B_0 / 2$ are independent, chi-squared with N
degrees of freedom, so that N Var $A_0$ = N Var $B_0$ = 8 and their means are 2 exactly.

**Source:** Bordelon & Pehlevan, Dynamics of finite width kernel and prediction fluctuations in mean field
neural networks (arXiv 2304.03408), for (f, K) at order 1/N; the modes above make it exact.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.integrate import solve_ivp

from widthwise.errors import InputError

START = 2.0  # A and B at infinite width
START_SCALE = math.sqrt(8.0)  # standard deviation of A and of B, times sqrt N


@dataclass(frozen=True, kw_only=True)
class TwoLayerLinearProblem:
    """One training point with |x|^2 = D, squared error, mean-field parametrization.

    `richness` gamma > 0 (the lazy limit is approached as gamma^2); step k is time k * `learning_rate`
    under `gradient_flow`; `centered` subtracts the output at initialization.
    """

    richness: float
    target: float = 1.0
    learning_rate: float
    steps: int
    centered: bool = True
    gradient_flow: bool = False

    def __post_init__(self) -> None:
        for name in ("richness", "learning_rate"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"`{name}` = {value!r}: give a positive number")
        if not math.isfinite(self.target):
            raise InputError(f"`target` = {self.target!r}: give a finite number")
        if self.steps < 1:
            raise InputError(f"`steps` = {self.steps!r}: give 1 or more; step 0 is initialization")


@dataclass(frozen=True)
class TwoLayerLinearSolution:
    """Infinite width and order 1/N, step by step.

    `_variance` is N Var over initializations and `_shift` N (mean - infinite width), both as N -> infinity.
    `_response` is the derivative in two independent standard normal coordinates of the start, times sqrt N:
    N Cov(q(t), q'(s)) = q_response[t] . q'_response[s]. `feature_kernel` = gradient kernel = K/2; at finite
    width they differ by 4 p.m / N, which adds to their variance and not to their mean.
    """

    residual: Float[np.ndarray, " step"]
    prediction: Float[np.ndarray, " step"]
    prediction_response: Float[np.ndarray, "step coordinate"]
    prediction_variance: Float[np.ndarray, " step"]
    prediction_shift: Float[np.ndarray, " step"]
    tangent_kernel: Float[np.ndarray, " step"]
    tangent_kernel_response: Float[np.ndarray, "step coordinate"]
    tangent_kernel_variance: Float[np.ndarray, " step"]
    tangent_kernel_shift: Float[np.ndarray, " step"]
    feature_kernel: Float[np.ndarray, " step"]
    feature_kernel_variance: Float[np.ndarray, " step"]
    feature_kernel_shift: Float[np.ndarray, " step"]
    loss: Float[np.ndarray, " step"]
    loss_variance: Float[np.ndarray, " step"]
    loss_shift: Float[np.ndarray, " step"]


def solve_two_layer_linear(problem: TwoLayerLinearProblem) -> TwoLayerLinearSolution:
    r"""Infinite width, N Cov and the mean shift at order 1/N, from a second-order expansion in the start.

    The trajectory is carried as a Taylor polynomial in the standard normals $\xi$ of
    $A_0 = 2 + \sqrt{8/N} \xi_1$, $B_0 = 2 + \sqrt{8/N} \xi_2$; its linear part gives the covariances, the
    coefficients of $\xi_1^2$ and $\xi_2^2$ the shift. Gradient flow by an eighth-order Runge-Kutta method
    at relative tolerance 1e-12.

    **Raises:** `InputError` if discrete steps diverge.

    >>> one = solve_two_layer_linear(TwoLayerLinearProblem(richness=1.0, learning_rate=0.5, steps=2,
    ...                                                    gradient_flow=True))
    >>> print(f"{one.residual[1]:.6f} {one.prediction_variance[1]:.6f} {one.tangent_kernel_variance[1]:.4f}")
    0.338136 0.136834 5.7527
    """
    with np.errstate(over="ignore", invalid="ignore"):
        upper, lower, overlap = _expanded_flow(problem) if problem.gradient_flow else _expanded_steps(problem)
        raw = (upper - lower) / (4.0 * problem.richness)
        kernel = (upper + lower) / 2.0
        prediction = raw - raw[0] if problem.centered else raw
    if not (np.isfinite(prediction).all() and np.isfinite(kernel).all()):
        raise InputError(
            f"gradient descent diverges within {problem.steps} steps: lower `learning_rate` = "
            f"{problem.learning_rate} or take gradient flow"
        )
    residual = problem.target - prediction[:, 0]
    found = {}
    for name, polynomial in (("prediction", prediction), ("tangent_kernel", kernel)):
        found[name], found[f"{name}_response"] = polynomial[:, 0], polynomial[:, 1:3]
        found[f"{name}_variance"] = (polynomial[:, 1:3] ** 2).sum(1)
        found[f"{name}_shift"] = polynomial[:, 3] + polynomial[:, 5]
    return TwoLayerLinearSolution(
        residual=residual,
        **found,
        feature_kernel=kernel[:, 0] / 2.0,
        feature_kernel_variance=found["tangent_kernel_variance"] / 4.0 + overlap**2,
        feature_kernel_shift=found["tangent_kernel_shift"] / 2.0,
        loss=residual**2 / 2.0,
        loss_variance=residual**2 * found["prediction_variance"],
        loss_shift=found["prediction_variance"] / 2.0 - residual * found["prediction_shift"],
    )


def _expanded_steps(problem: TwoLayerLinearProblem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Taylor polynomials (step, coefficient) of A and B, and p.m relative to its start."""
    upper, lower = _expanded_start()
    one, scale = np.eye(6)[0], 4.0 * problem.richness
    start = (upper - lower) / scale if problem.centered else 0.0 * one
    goal = problem.target * one + start
    overlap = 1.0
    trajectory = []
    for _ in range(problem.steps):
        trajectory.append((upper, lower, np.array(overlap)))
        pull = problem.learning_rate * problem.richness * (goal - (upper - lower) / scale)
        up, down = one + pull, one - pull
        upper, lower = _times(_times(up, up), upper), _times(_times(down, down), lower)
        overlap *= 1.0 - pull[0] ** 2
    return tuple(np.stack(part) for part in zip(*trajectory, strict=True))  # pyright: ignore[reportReturnType]


def _expanded_flow(problem: TwoLayerLinearProblem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    upper, lower = _expanded_start()
    one, scale = np.eye(6)[0], 4.0 * problem.richness
    goal = problem.target * one + ((upper - lower) / scale if problem.centered else 0.0)

    def velocity(_: float, stretch: np.ndarray) -> np.ndarray:
        raw = (
            _times(upper, _exponential(2.0 * stretch)) - _times(lower, _exponential(-2.0 * stretch))
        ) / scale
        return problem.richness * (goal - raw)

    times = problem.learning_rate * np.arange(problem.steps)
    span = (0.0, max(times[-1], problem.learning_rate))
    found = solve_ivp(velocity, span, np.zeros(6), method="DOP853", t_eval=times, rtol=1e-12, atol=1e-15)
    uppers = np.stack([_times(upper, _exponential(2.0 * stretch)) for stretch in found.y.T])
    lowers = np.stack([_times(lower, _exponential(-2.0 * stretch)) for stretch in found.y.T])
    return uppers, lowers, np.ones(problem.steps)


def _expanded_start() -> tuple[np.ndarray, np.ndarray]:
    # Coefficients of 1, x, y, x^2, x y, y^2 in two standard normals over sqrt N.
    return np.array([START, START_SCALE, 0, 0, 0, 0]), np.array([START, 0, START_SCALE, 0, 0, 0])


def _times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Product of two polynomials to second order."""
    product = a[0] * b + b[0] * a
    product[0] = a[0] * b[0]
    product[3:] += [a[1] * b[1], a[1] * b[2] + a[2] * b[1], a[2] * b[2]]
    return product


def _exponential(a: np.ndarray) -> np.ndarray:
    rest = a * np.array([0.0, 1, 1, 1, 1, 1])
    return np.exp(a[0]) * (np.eye(6)[0] + rest + _times(rest, rest) / 2.0)
