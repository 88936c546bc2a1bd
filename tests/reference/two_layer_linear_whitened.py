r"""Two-layer linear network on P orthogonal points, target along the first: order 1/N in closed form.

The same equations describe whitened data and the population gradient of a linear teacher in P dimensions.
The first direction trains as one point (`two_layer_linear.py`, uncentered). In each of the P - 1 others the
target is 0 and the output, $f_k = O(1/\sqrt N)$, obeys with $e_k = h_1 \cdot h_k / N$ a linear system,

$$f_k' = -(1 + G) f_k + \Delta e_k, \qquad e_k' = \gamma^2 (\Delta - f) f_k,$$

started from Var $f_k$ = 1/(N gamma^2), Var $e_k$ = 1/N. Their products act back on the first direction,
$f' = \Delta K - \sum_k f_k e_k$ and $K' = 4 \gamma^2 f \Delta - 2 \gamma^2 \sum_k f_k^2$, a shift of order
(P - 1)/N. Everything here fails when P is comparable with N.

**Source:** Bordelon & Pehlevan (arXiv 2304.03408) for the variance of the orthogonal directions.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.integrate import solve_ivp

from widthwise.errors import InputError
from widthwise.exact.two_layer_linear import TwoLayerLinearProblem, solve_two_layer_linear


@dataclass(frozen=True)
class WhitenedSolution:
    """Step by step, N -> infinity at fixed P.

    `residual` Delta of the target direction; `target_variance` N Var Delta; `orthogonal_variance` N Var f_k
    of one orthogonal direction; `target_shift` N (mean Delta - infinite width) from the first direction
    alone and `orthogonal_shift` what each orthogonal direction adds to it;
    `squared_error` |Delta|^2 summed over directions, at infinite width, and `squared_error_shift`
    = N (mean - infinite width) = N Var Delta + (P - 1) N Var f_k + 2 Delta (shift of Delta).
    """

    residual: Float[np.ndarray, " step"]
    target_variance: Float[np.ndarray, " step"]
    target_shift: Float[np.ndarray, " step"]
    orthogonal_variance: Float[np.ndarray, " step"]
    orthogonal_shift: Float[np.ndarray, " step"]
    squared_error: Float[np.ndarray, " step"]
    squared_error_shift: Float[np.ndarray, " step"]


def solve_whitened(problem: TwoLayerLinearProblem, points: int) -> WhitenedSolution:
    """Order 1/N of the squared error on `points` orthogonal points with |x|^2 = D and summed loss.

    **Raises:** `InputError` if centered (the outputs at initialization are the start of the orthogonal
    directions), for fewer than one point, or if discrete steps diverge.

    >>> problem = TwoLayerLinearProblem(richness=4.0, learning_rate=0.01, steps=51, centered=False)
    >>> print(solve_whitened(problem, 3).orthogonal_variance[[0, 50]].round(5))
    [0.0625  0.01235]
    """
    if problem.centered:
        raise InputError("`centered` = True: whitened data are solved uncentered; pass `centered=False`")
    if points < 1:
        raise InputError(f"`points` = {points!r}: give 1 or more")
    one = solve_two_layer_linear(problem)
    variance, back = (_flow if problem.gradient_flow else _steps)(problem)
    shift = -one.prediction_shift - (points - 1) * back
    return WhitenedSolution(
        residual=one.residual,
        target_variance=one.prediction_variance,
        target_shift=-one.prediction_shift,
        orthogonal_variance=variance,
        orthogonal_shift=-back,
        squared_error=one.residual**2,
        squared_error_shift=one.prediction_variance + (points - 1) * variance + 2.0 * one.residual * shift,
    )


def _steps(problem: TwoLayerLinearProblem) -> tuple[np.ndarray, np.ndarray]:
    """N Var f_k and the shift of f for each orthogonal direction, by exact steps of gradient descent."""
    one = solve_two_layer_linear(problem)
    eta, square = problem.learning_rate, problem.richness**2
    field = np.diag([1.0 / problem.richness, 1.0])  # (f_k, e_k) by the two normals of their start
    shift = np.zeros(2)  # of (f, K)
    variances, shifts = [], []
    for f, kernel, error in zip(one.prediction, one.tangent_kernel, one.residual, strict=True):
        variances.append((field[0] ** 2).sum())
        shifts.append(shift[0])
        ff, fe = (field[0] ** 2).sum(), field[0] @ field[1]
        pull = eta**2 * square
        jacobian = np.array(
            [
                [1.0 - eta * kernel + pull * (error**2 - 2.0 * f * error), eta * error],
                [4.0 * eta * square * (error - f) - 2.0 * pull * error * kernel, 1.0 + pull * error**2],
            ]
        )
        source = [-eta * fe - pull * error * ff, -2.0 * eta * square * (ff + eta * error * fe) + pull * ff]
        shift = jacobian @ shift + source
        own = np.array(
            [
                [1.0 - eta * (1.0 + kernel / 2.0) - pull * error * f, eta * error],
                [eta * square * (error - f) - pull * error * kernel / 2.0, 1.0],
            ]
        )
        field = own @ field
    return np.array(variances), np.array(shifts)


def _flow(problem: TwoLayerLinearProblem) -> tuple[np.ndarray, np.ndarray]:
    """The same in continuous time, with the stretch v of the first direction as one more variable."""
    gamma, square = problem.richness, problem.richness**2

    def velocity(_: float, state: np.ndarray) -> np.ndarray:
        stretch, field, (df, dk) = state[0], state[1:5].reshape(2, 2), state[5:]
        f, kernel = np.sinh(2.0 * stretch) / gamma, 2.0 * np.cosh(2.0 * stretch)
        error = problem.target - f
        own = np.array([[-(1.0 + kernel / 2.0), error], [square * (error - f), 0.0]])
        moments = field @ field.T
        back = [
            error * dk - kernel * df - moments[0, 1],
            4.0 * square * (error - f) * df - 2.0 * square * moments[0, 0],
        ]
        return np.concatenate([[gamma * error], (own @ field).ravel(), back])

    start = np.concatenate([[0.0], np.diag([1.0 / gamma, 1.0]).ravel(), [0.0, 0.0]])
    times = problem.learning_rate * np.arange(problem.steps)
    span = (0.0, max(times[-1], problem.learning_rate))
    found = solve_ivp(velocity, span, start, method="DOP853", t_eval=times, rtol=1e-12, atol=1e-15).y
    return found[1] ** 2 + found[2] ** 2, found[5]
