r"""Deep linear networks at infinite width: any depth, closed in matrices over (step, point), no sampling.

With phi(h) = h every field is Gaussian. Let indices run over steps and points together, and let
$T_\Delta(t,s) = 1[s<t]\, \eta \Delta(s)$ ($\Delta$ of test points counts as 0), $H^0 = K^x$, $G^{L+1} = 1$:

$$C^l = \gamma\, T_\Delta \circ H^{l-1} + A^{l-1}, \quad D^l = \gamma\, T_\Delta \circ G^{l+1} + B^l, \qquad
h^l = u^l + C^l g^l, \quad g^l = r^l + D^l h^l$$

with $u^l \sim N(0, H^{l-1})$ and $r^l \sim N(0, G^{l+1})$ independent. Then $H^l = \langle h h^T \rangle$,
$G^l = \langle g g^T \rangle$, $A^l = \partial h^l / \partial r^l$, $B^{l-1} = \partial g^l / \partial u^l$,
$f = \mathrm{diag} \langle h^L g^{L\,T} \rangle / \gamma$ and $A^0 = B^L = 0$. The equal-time part of B
vanishes for a linear activation. On one point $H^l = G^{L+1-l}$ exactly.

Solved by one causal pass over the steps: the rows of step t need earlier rows only, so there is nothing to
iterate. Afterwards the whole map is evaluated once on the result, by matrix inverses, and
max|F(q) - q| is reported.

**Source:** Bordelon & Pehlevan, Self-consistent dynamical field theory of kernel evolution in wide neural
networks (arXiv 2205.09653).
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float

ResidualRule = Literal["forward_pass", "tangent_kernel"]


@dataclass(frozen=True, kw_only=True)
class DeepLinearProblem:
    """A deep linear network with one output and squared error, in mean-field parametrization.

    - `input_kernel`: x_m . x_n / D, training points first; `targets`: y of each point, of test points
      only to report their residual; `train`: how many train (None: all).
    - `learning_rate`: eta for the sum over training points; divide by their number for a mean.
    - `residual_rule`: "forward_pass" is gradient descent: the residual is read off the fields at each
      step. "tangent_kernel" moves it by Delta(t+1) = Delta(t) - eta K(t) Delta(t), the first-order
      (Euler) discretization of gradient flow, and starts from y at every width.
    """

    hidden_layers: int
    richness: float
    learning_rate: float
    steps: int
    input_kernel: Float[np.ndarray, "point point_b"] = field(default_factory=lambda: np.ones((1, 1)))
    targets: Float[np.ndarray, " target"] = field(default_factory=lambda: np.ones(1))
    train: int | None = None
    centered: bool = True
    residual_rule: ResidualRule = "forward_pass"

    def __post_init__(self) -> None:
        for name in ("richness", "learning_rate"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"`{name}` = {value!r}: give a positive number")
        for name in ("hidden_layers", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` = {getattr(self, name)!r}: give 1 or more")
        points = len(self.targets)
        if not 0 < points == len(self.input_kernel) == self.input_kernel.shape[1]:
            raise ValueError(
                f"`input_kernel` {self.input_kernel.shape} for {points} targets: give one row and column each"
            )
        if not (np.isfinite(self.targets).all() and np.isfinite(self.input_kernel).all()):
            raise ValueError("`targets` and `input_kernel` must be finite")
        if self.train is not None and not 1 <= self.train <= points:
            raise ValueError(f"`train` = {self.train!r}: give 1 to {points}")

    @property
    def points(self) -> int:
        """Training and test points."""
        return len(self.targets)


@dataclass(frozen=True)
class DeepLinearSolution:
    """Order parameters at infinite width; matrices run over steps and, within a step, points.

    `residual` y - f. `feature_kernel[l-1]` = H^l, `gradient_kernel[l-1]` = G^l at two times, for l = 1..L.
    `forward_response[l-1]` = A^l and `backward_response[l-1]` = B^l for l = 1..L-1, strictly causal.
    `tangent_kernel` = sum_{l=0..L} G^{l+1} H^l at equal times. `iteration_residual` = max|F(q) - q|
    relative to max(1, |q|).
    """

    problem: DeepLinearProblem
    residual: Float[np.ndarray, "step point"]
    prediction: Float[np.ndarray, "step point"]
    tangent_kernel: Float[np.ndarray, "step point point"]
    feature_kernel: Float[np.ndarray, "layer time time"]
    gradient_kernel: Float[np.ndarray, "layer time time"]
    forward_response: Float[np.ndarray, "inner time time"]
    backward_response: Float[np.ndarray, "inner time time"]
    iteration_residual: float


@dataclass(frozen=True)
class LinearSite:
    """One layer's Gaussian process: (h, g) = `response` (u, r), `moment` = <(h, g) (h, g)^T>."""

    response: Float[np.ndarray, "2 2 time time"]
    moment: Float[np.ndarray, "2 2 time time"]


def solve_deep_linear(problem: DeepLinearProblem) -> DeepLinearSolution:
    """Infinite width by one causal pass; O(L (P T)^3) operations, O(L (P T)^2) memory.

    **Raises:** `ValueError` if gradient descent diverges.

    >>> problem = DeepLinearProblem(hidden_layers=2, richness=1.0, learning_rate=0.1, steps=3)
    >>> found = solve_deep_linear(problem)
    >>> print(found.residual[:, 0].round(6), found.feature_kernel[:, 2, 2].round(6))
    [1.       0.7      0.475633] [1.057145 1.20422 ]
    """
    with np.errstate(over="ignore", invalid="ignore"):
        state = _CausalPass(problem)
        for step in range(problem.steps):
            state.advance(step)
        if not all(np.isfinite(part).all() for part in (state.residual, state.moment, state.response)):
            raise ValueError(
                f"gradient descent diverges within {problem.steps} steps: lower `learning_rate` = "
                f"{problem.learning_rate}"
            )
    shape = (problem.steps, problem.points)
    unchecked = DeepLinearSolution(
        problem,
        state.residual.reshape(shape),
        problem.targets - state.residual.reshape(shape),
        state.tangent,
        state.moment[:, 0, 0],
        state.moment[:, 1, 1],
        state.response[:-1, 0, 1],
        state.response[1:, 1, 0],
        0.0,
    )
    error = _fixed_point_error(unchecked)
    return DeepLinearSolution(**{**unchecked.__dict__, "iteration_residual": error})


def neighbors(solution: DeepLinearSolution, layer: int) -> tuple[np.ndarray, np.ndarray]:
    """(H^{l-1}, G^{l+1}), the covariances of u^l and r^l."""
    problem = solution.problem
    below = solution.feature_kernel[layer - 2] if layer > 1 else _input_rows(problem)
    top = layer == problem.hidden_layers
    above = np.ones_like(below) if top else solution.gradient_kernel[layer]
    return below, above


def pull(problem: DeepLinearProblem, residual: Float[np.ndarray, "step point"]) -> Float[np.ndarray, " time"]:
    """eta gamma Delta_n(s) of training points, 0 of test points."""
    rate = problem.learning_rate * problem.richness
    trained = np.arange(problem.points) < (problem.points if problem.train is None else problem.train)
    return (rate * trained * residual).ravel()


def earlier(steps: int, points: int) -> Float[np.ndarray, "time time"]:
    """1[s < t] for indices that run over steps and, within a step, points."""
    step = np.repeat(np.arange(steps), points)
    return (step[None, :] < step[:, None]).astype(float)


def linear_site(solution: DeepLinearSolution, layer: int) -> LinearSite:
    """The Gaussian process of one layer from the order parameters of its neighbors, by matrix inverses."""
    problem = solution.problem
    below, above = neighbors(solution, layer)
    drive = earlier(problem.steps, problem.points) * pull(problem, solution.residual)
    forward, backward = drive * below, drive * above
    if layer > 1:
        forward = forward + solution.forward_response[layer - 2]
    if layer < problem.hidden_layers:
        backward = backward + solution.backward_response[layer - 1]
    one = np.eye(len(below))
    of_h, of_g = np.linalg.inv(one - forward @ backward), np.linalg.inv(one - backward @ forward)
    response = np.array([[of_h, of_h @ forward], [of_g @ backward, of_g]])
    return LinearSite(response, _moment(response, below, above))


def _moment(response: np.ndarray, below: np.ndarray, above: np.ndarray) -> Float[np.ndarray, "2 2 time time"]:
    from_u = np.einsum("iab,bc,jdc->ijad", response[:, 0], below, response[:, 0], optimize=True)
    return from_u + np.einsum("iab,bc,jdc->ijad", response[:, 1], above, response[:, 1], optimize=True)


def _input_rows(problem: DeepLinearProblem) -> Float[np.ndarray, "time time"]:
    return np.tile(problem.input_kernel, (problem.steps, problem.steps))


def _tangent(problem: DeepLinearProblem, feature: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """K of one step from the equal-time blocks H^l and G^l, l = 1..L."""
    one = np.ones_like(problem.input_kernel)[None]
    return np.sum(
        np.concatenate([problem.input_kernel[None], feature]) * np.concatenate([gradient, one]), axis=0
    )


class _CausalPass:
    """State of the causal pass: rows of every layer's response and moment, filled step by step."""

    def __init__(self, problem: DeepLinearProblem) -> None:
        size = problem.steps * problem.points
        self.problem = problem
        self.residual = np.zeros(size)
        self.tangent = np.zeros((problem.steps, problem.points, problem.points))
        self.response = np.zeros((problem.hidden_layers, 2, 2, size, size))
        self.moment = np.zeros((problem.hidden_layers, 2, 2, size, size))
        self.inputs, self.ones = _input_rows(problem), np.ones((size, size))

    def advance(self, step: int) -> None:
        """Forward pass, backward pass and update of one step."""
        points, layers = self.problem.points, self.problem.hidden_layers
        past, now = slice(0, step * points), slice(step * points, (step + 1) * points)
        force = pull(self.problem, self.residual.reshape(-1, points))[past]
        for layer in range(layers):
            below = self.moment[layer - 1, 0, 0] if layer else self.inputs
            drift = force * below[now, past]
            if layer:
                drift = drift + self.response[layer - 1, 0, 1, now, past]
            self._row(layer, 0, drift, below, past, now)
        for layer in reversed(range(layers)):
            above = self.moment[layer + 1, 1, 1] if layer < layers - 1 else self.ones
            drift = force * above[now, past]
            if layer < layers - 1:
                drift = drift + self.response[layer + 1, 1, 0, now, past]
            self._row(layer, 1, drift, above, past, now)
        equal = self.moment[:, :, :, now, now]
        self.tangent[step] = _tangent(self.problem, equal[:, 0, 0], equal[:, 1, 1])
        self._update_residual(step, np.diagonal(equal[-1, 0, 1]))

    def _row(
        self, layer: int, kind: int, drift: np.ndarray, source: np.ndarray, past: slice, now: slice
    ) -> None:
        """Field `kind` (0: h, 1: g) of this step: own source plus drift . other field of earlier steps."""
        response, moment, other = self.response[layer], self.moment[layer], 1 - kind
        until = slice(0, now.stop)
        response[kind, :, now, past] = drift @ response[other, :, past, past]
        response[kind, kind, now, now] = np.eye(now.stop - now.start)
        # The other field of this step is known only while g follows h; its entries are filled by symmetry.
        for field_b, columns in ((other, until if kind else past), (kind, past), (kind, now)):
            own = source[now, until] @ response[field_b, kind, columns, until].T
            rows = own + drift @ moment[other, field_b, past, columns]
            moment[kind, field_b, now, columns] = rows
            moment[field_b, kind, columns, now] = rows.T

    def _update_residual(self, step: int, product: np.ndarray) -> None:
        problem, points = self.problem, self.problem.points
        residual = self.residual.reshape(-1, points)
        if problem.residual_rule == "forward_pass":
            # f(0) is 0 at infinite width, centered or not.
            residual[step] = problem.targets - product / problem.richness
            return
        if step == 0:
            residual[0] = problem.targets
        if step + 1 < problem.steps:
            force = pull(problem, residual[step : step + 1]) / problem.richness
            residual[step + 1] = residual[step] - self.tangent[step] @ force


def _fixed_point_error(solution: DeepLinearSolution) -> float:
    """max|F(q) - q| / max(1, |q|) over kernels, responses and residual."""
    problem = solution.problem
    sites = [linear_site(solution, layer + 1) for layer in range(problem.hidden_layers)]
    pairs = [(site.moment[0, 0], kernel) for site, kernel in zip(sites, solution.feature_kernel, strict=True)]
    pairs += [
        (site.moment[1, 1], kernel) for site, kernel in zip(sites, solution.gradient_kernel, strict=True)
    ]
    pairs += [(site.response[0, 1], q) for site, q in zip(sites, solution.forward_response, strict=False)]
    pairs += [
        (site.response[1, 0], q) for site, q in zip(sites[1:], solution.backward_response, strict=False)
    ]
    if problem.residual_rule == "forward_pass":
        product = np.diagonal(sites[-1].moment[0, 1]).reshape(solution.prediction.shape)
        pairs.append((product / problem.richness, solution.prediction))
    else:
        force = pull(problem, solution.residual).reshape(solution.residual.shape) / problem.richness
        moved = solution.residual - np.einsum("tmn,tn->tm", solution.tangent_kernel, force)
        pairs.append((moved[:-1], solution.residual[1:]))
    scale = max(1.0, *(float(np.abs(q).max(initial=0.0)) for _, q in pairs))
    return max(float(np.abs(new - q).max(initial=0.0)) for new, q in pairs) / scale
