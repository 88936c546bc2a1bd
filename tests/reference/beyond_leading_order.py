r"""Observables beyond leading order: the cumulant expansion and ratios, on a system where all is known.

At width N an average over initializations is one over the Gaussian $N(q_\infty, \Sigma/N)$, reweighted by
the part V of the action beyond its quadratic one:

$$\langle O \rangle_N = \frac{\langle e^{N V} O \rangle}{\langle e^{N V} \rangle}
 = \frac{n_0 + n_1/N + \dots + n_k/N^k + \dots}{1 + d_1/N + \dots + d_k/N^k + \dots}$$

Dividing the two series and cutting at 1/N^k is the cumulant expansion; cutting numerator and denominator
each at 1/N^k is the ratio. At order 1 the ratio is O_inf + c_1/(N + d_1). A general theory of order 1/N
knows c_0 and c_1 alone, for which `pade_ratio` gives c_0 / (1 - c_1/(c_0 N)).

On the two-layer linear network (one point, gradient descent) all is explicit: the trajectory is a power
series in the start $A_0 = 2(1 + a)$, $B_0 = 2(1 + b)$, and a has the density of exp(-N a^2/4) e^{N V} with
$N V = N (\ln(1+a) - a + a^2/2)/2 - \ln(1+a)$.

What it is worth, against every moment by quadrature (checked in the tests):

- It improves where Sigma / N is small: at richness 2 and N = 50 every order up to the fourth takes a factor
  of 10 or more off the greatest error of the mean residual and of the mean loss.
- It fails late in training at small width, where rare slow starts carry the mean: at richness 0.5, time 3
  and N = 16 leading order with its 1/N term gives a fifth of the mean loss, and the fourth order is needed
  to come within 3 %; at N = 6 the orders scatter about the truth and the fourth is still 17 % off.
- The ratio differs little from the expansion (d_1 = 1/3), better at even orders and worse at odd ones.
- `pade_ratio`, all that order 1/N affords, is right for what decays in 1/N geometrically, and stays
  positive for a negative shift; for the mean residual here it is *worse* than value + shift/N, and it has
  a pole at N = shift / value.

**Source:** Bordelon & Pehlevan (arXiv 2304.03408) for the reweighted average and its ratio.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from widthwise.errors import InputError
from widthwise.exact.two_layer_linear import TwoLayerLinearProblem

HIGHEST_ORDER = 4


@dataclass(frozen=True)
class WidthSeries:
    """Powers of 1/N of `<e^{NV} O>` and of `<e^{NV}>`, order 0 first; steps along the last axis."""

    numerator: Float[np.ndarray, "power step"]
    denominator: Float[np.ndarray, " power"]

    @property
    def coefficients(self) -> Float[np.ndarray, "power step"]:
        """c_k of the cumulant expansion <O> = sum_k c_k / N^k."""
        found: list[np.ndarray] = []
        for power, numerator in enumerate(self.numerator):
            mixed = [self.denominator[power - k] * found[k] for k in range(power)]
            found.append(numerator - np.sum(mixed, axis=0) if mixed else numerator)
        return np.stack(found)

    def expansion(self, width: float | int, order: int) -> Float[np.ndarray, " step"]:
        """The cumulant expansion at `width`, cut after 1/N^order."""
        return _powers(width, self._order(order)) @ self.coefficients[: order + 1]

    def ratio(self, width: float | int, order: int) -> Float[np.ndarray, " step"]:
        """Numerator over denominator, each cut after 1/N^order."""
        powers = _powers(width, self._order(order))
        return (powers @ self.numerator[: order + 1]) / (powers @ self.denominator[: order + 1])

    def _order(self, order: int) -> int:
        if not 0 <= order < len(self.numerator):
            raise InputError(f"`order` = {order!r}: this series goes from 0 to {len(self.numerator) - 1}")
        return order


@dataclass(frozen=True)
class LinearWidthSeries:
    """Series of the means of residual and tangent kernel, of their squares, and of the loss (centered or
    not, as the problem says)."""

    residual: WidthSeries
    residual_square: WidthSeries
    tangent_kernel: WidthSeries
    tangent_kernel_square: WidthSeries
    loss: WidthSeries


def pade_ratio(
    value: Float[np.ndarray, "*shape"], shift: Float[np.ndarray, "*shape"], width: float | int
) -> Float[np.ndarray, "*shape"]:
    """The [0/1] ratio value / (1 - shift / (value N)) of an expansion value + shift / N.

    Exact for averages that are geometric in 1/N. Where value is 0 it is the plain expansion.

    **Raises:** `InputError` for a width at or below the pole of an entry, N <= shift/value.

    >>> print(pade_ratio(np.array([2.0]), np.array([-4.0]), 4.0))
    [1.33333333]
    """
    safe = np.where(value == 0.0, 1.0, value)
    relative = np.where(value == 0.0, 0.0, shift / safe)
    if not width > max(0.0, float(relative.max(initial=0.0))):
        raise InputError(
            f"`width` = {width!r}: the ratio has a pole at width {relative.max(initial=0.0):.3g}; order 1/N "
            "says nothing below it"
        )
    return np.where(value == 0.0, value + shift / width, safe / (1.0 - relative / width))


def two_layer_linear_series(problem: TwoLayerLinearProblem, order: int = 3) -> LinearWidthSeries:
    """All coefficients up to 1/N^order, exact to rounding, for gradient descent on one point.

    **Raises:** `InputError` for gradient flow, or an order outside 0 to 4.

    >>> problem = TwoLayerLinearProblem(richness=1.0, learning_rate=0.1, steps=2)
    >>> print(two_layer_linear_series(problem, 2).tangent_kernel_square.coefficients[:, 0].round(9))
    [4. 4. 0.]
    """
    if problem.gradient_flow:
        raise InputError("`gradient_flow` = true: the series is of gradient descent; take small steps")
    if not 0 <= order <= HIGHEST_ORDER:
        raise InputError(f"`order` = {order!r}: give 0 to {HIGHEST_ORDER}")
    degree = 2 * order
    residual, kernel = _trajectories(problem, degree)
    moments = _start_moments(degree)
    denominator = _series_product(moments[0], moments[0])[::2]

    def series(values: np.ndarray) -> WidthSeries:
        total = np.zeros((degree + 1, values.shape[0]))
        for i in range(degree + 1):
            for j in range(degree + 1 - i):
                weight = _series_product(moments[i], moments[j])
                total += weight[:, None] * values[:, i, j]
        return WidthSeries(total[::2], denominator)

    squares = [np.stack([_times(one, one) for one in values]) for values in (residual, kernel)]
    return LinearWidthSeries(
        series(residual), series(squares[0]), series(kernel), series(squares[1]), series(squares[0] / 2.0)
    )


def _trajectories(problem: TwoLayerLinearProblem, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Power series (step, power of a, power of b) of the residual and the tangent kernel."""
    one = np.zeros((degree + 1, degree + 1))
    one[0, 0] = 1.0
    upper, lower = 2.0 * one, 2.0 * one
    if degree:
        upper[1, 0] = lower[0, 1] = 2.0
    scale = 4.0 * problem.richness
    goal = problem.target * one + problem.centered * (upper - lower) / scale
    residuals, kernels = [], []
    for _ in range(problem.steps):
        residual = goal - (upper - lower) / scale
        residuals.append(residual)
        kernels.append((upper + lower) / 2.0)
        pull = problem.learning_rate * problem.richness * residual
        up, down = one + pull, one - pull
        upper, lower = _times(_times(up, up), upper), _times(_times(down, down), lower)
    return np.stack(residuals), np.stack(kernels)


def _times(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Product of two power series in (a, b), cut at the total degree that they hold."""
    size = len(left)
    product = np.zeros_like(left)
    for i in range(size):
        for j in range(size - i):
            product[i:, j:] += left[i, j] * right[: size - i, : size - j]
    return product * (np.add.outer(np.arange(size), np.arange(size)) < size)


def _start_moments(degree: int) -> Float[np.ndarray, "moment power"]:
    r"""<e^{NV} a^i> of one mode in powers of $\epsilon = N^{-1/2}$, for i = 0 .. degree.

    With a = sqrt(2) eps xi, xi standard normal, N a^k is eps^(k-2): NV has the terms k >= 3 of its logarithm,
    and -ln(1 + a) all. weight[e, p] is the coefficient of eps^e xi^p.
    """
    powers = 3 * degree + 1
    exponent = np.zeros((degree + 1, powers))
    for k in range(1, degree + 3):
        term = (-1.0) ** (k + 1) / k * math.sqrt(2.0) ** k
        if k <= degree:
            exponent[k, k] -= term
        if k >= 3:
            exponent[k - 2, k] += term / 2.0
    weight, term = np.zeros_like(exponent), np.zeros_like(exponent)
    weight[0, 0] = term[0, 0] = 1.0
    for repeat in range(1, degree + 1):
        term = _mixed_product(term, exponent) / repeat
        weight += term
    gaussian = np.array([0.0 if p % 2 else math.prod(range(1, p, 2)) for p in range(powers + degree)])
    moments = np.zeros((degree + 1, degree + 1))
    for i in range(degree + 1):
        shifted = weight @ gaussian[i : i + powers]
        moments[i, i:] = math.sqrt(2.0) ** i * shifted[: degree + 1 - i]
    return moments


def _mixed_product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Product in (eps, xi), cut at the power of eps; the power of xi is at most thrice it."""
    product = np.zeros_like(left)
    rows, columns = left.shape
    for e in range(rows):
        for p in range(min(columns, 3 * e + 1)):
            product[e:, p:] += left[e, p] * right[: rows - e, : columns - p]
    return product


def _series_product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.convolve(left, right)[: len(left)]


def _powers(width: float | int, order: int) -> Float[np.ndarray, " power"]:
    if not width > 0:
        raise InputError(f"`width` = {width!r}: give a positive number")
    return float(width) ** -np.arange(order + 1)
