r"""Deep linear networks at order 1/N: exact covariances from adjoint matrices over (step, point).

With the residual Delta held fixed, every kernel and prediction has an adjoint (`deep_linear_adjoint.py`) that
gives its covariances $\Gamma$ and its derivative $\chi$ towards Delta. The residual closes the loop: with
$\rho$ the quantities that drive it (f, or $\eta K \Delta$ where it follows the tangent kernel)

$$E\, \delta\Delta = - P\, \delta\rho, \quad \delta\rho = \epsilon_\rho + \chi_\rho \delta\Delta
\;\Rightarrow\; \delta\Delta = J \epsilon_\rho, \; J = -(E + P \chi_\rho)^{-1} P, \qquad
\delta b = \epsilon_b + \chi_b J \epsilon_\rho.$$

This elimination is why few turns suffice: the decay of Delta, stiff at late times, is solved exactly.

**Source:** Bordelon & Pehlevan (arXiv 2304.03408) for the setting; the adjoint form is this package's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from deep_linear import DeepLinearSolution, linear_site, neighbors, pull
from deep_linear_adjoint import FrozenAdjoint
from jaxtyping import Float, Int

Kind = Literal["residual", "prediction", "feature_kernel", "gradient_kernel", "tangent_kernel"]
BATCH_BYTES = 3e7  # of working arrays for a batch of observables; more leaves the cache and is slower
ARRAYS = 72  # of (time, time) for each observable of three layers, at the peak
MOST_STEPS = 8  # in a batch


@dataclass(frozen=True)
class LinearObservable:
    """One number of the theory: `first` and `second` are (step, point).

    The residual and the prediction (with its initial value, centered or not) are of `first` alone;
    `layer` 1..L is of feature and gradient kernels; the tangent kernel needs both at one step.
    """

    kind: Kind
    first: tuple[int, int]
    second: tuple[int, int] = (0, 0)
    layer: int = 1


@dataclass(frozen=True)
class DeepLinearFluctuations:
    """N Var over initializations as N -> infinity, equal times, at the chosen steps.

    `residual_covariance` is N Cov between the residuals (minus the predictions) of all steps up to the last
    chosen one. `turns`: the greatest number of turns over the layers; `adjoint_residual`: the greatest last
    change relative to the largest adjoint.
    """

    steps: Int[np.ndarray, " chosen"]
    residual_variance: Float[np.ndarray, "chosen point"]
    feature_kernel_variance: Float[np.ndarray, "chosen layer point point"]
    gradient_kernel_variance: Float[np.ndarray, "chosen layer point point"]
    tangent_kernel_variance: Float[np.ndarray, "chosen point point"]
    residual_covariance: Float[np.ndarray, "step point step point"]
    turns: int
    adjoint_residual: float


def solve_deep_linear_fluctuations(
    solution: DeepLinearSolution, steps: Sequence[int] | None = None
) -> DeepLinearFluctuations:
    """Variances of residual, kernels of all layers and tangent kernel (all cross-layer covariances in it).

    **Arguments:** `steps`, None for all. With n = P T and b observables in all, the residuals of all steps
    up to the last chosen one among them: about 100 L b n^3 operations for each turn, a quarter of that when
    all steps are chosen, and 64 L P T n^2 / 3 bytes.
    **Raises:** `ValueError` for a step outside the solution; `ArithmeticError` if the turns do not settle.

    >>> from deep_linear import DeepLinearProblem, solve_deep_linear
    >>> problem = DeepLinearProblem(hidden_layers=3, richness=1.0, learning_rate=0.1, steps=1)
    >>> print(solve_deep_linear_fluctuations(solve_deep_linear(problem)).tangent_kernel_variance.round(9))
    [[[56.]]]
    """
    problem = solution.problem
    points, layers = problem.points, problem.hidden_layers
    chosen = list(range(problem.steps)) if steps is None else [int(step) for step in steps]
    if not chosen:
        raise ValueError("`steps` is empty: give at least one step")
    pairs = [(m, n) for n in range(points) for m in range(n + 1)]
    # On inputs that are all alike the network read backwards is the same, in law.
    mirrored = bool((problem.input_kernel == 1.0).all())
    each: list[Kind] = ["feature_kernel"] if mirrored else ["feature_kernel", "gradient_kernel"]
    kinds: list[tuple[Kind, int]] = [(kind, layer) for kind in each for layer in range(1, layers + 1)]
    kinds.append(("tangent_kernel", 1))
    extras = {
        step: [LinearObservable(kind, (step, m), (step, n), layer) for kind, layer in kinds for m, n in pairs]
        for step in chosen
    }
    loop = _Loop(solution, extras)
    found = np.empty((len(chosen), len(kinds), points, points))
    for row, step in enumerate(chosen):
        variances = np.maximum(loop.variances[step], 0.0).reshape(len(kinds), len(pairs))
        for k, (m, n) in enumerate(pairs):
            found[row, :, m, n] = found[row, :, n, m] = variances[:, k]
    covariance = loop.residual_covariance()
    horizon = 1 + max(chosen)
    feature = found[:, :layers]
    # A variance that has decayed below rounding may come out as -1e-15.
    variance = np.maximum(np.diagonal(covariance), 0.0).reshape(horizon, points)
    return DeepLinearFluctuations(
        np.array(chosen, int),
        variance[chosen],
        feature,
        feature[:, ::-1] if mirrored else found[:, layers : 2 * layers],
        found[:, -1],
        covariance.reshape(horizon, points, horizon, points),
        loop.turns,
        loop.change,
    )


def deep_linear_covariance(
    solution: DeepLinearSolution, observables: Sequence[LinearObservable]
) -> Float[np.ndarray, "observable observable"]:
    """N Cov between any residuals, predictions and two-time kernels, at any steps.

    **Raises:** `ValueError` for a step, point or layer outside the solution.
    """
    if not observables:
        return np.zeros((0, 0))
    last = max(max(one.first[0], one.second[0]) for one in observables)
    return _Loop(solution, {last: list(observables)}).covariances[last]


class _Loop:
    """Adjoints of the residual's drivers step by step, of the extra observables with them, and the loop.

    `extras` maps a step to observables of that step or earlier ones.
    """

    def __init__(self, solution: DeepLinearSolution, extras: dict[int, list[LinearObservable]]) -> None:
        problem = solution.problem
        for one in (one for wanted in extras.values() for one in wanted):
            _check(solution, one)
        if not all(0 <= step < problem.steps for step in extras):
            raise ValueError(f"`steps` = {sorted(extras)}: give steps from 0 to {problem.steps - 1}")
        self.solution, self.points = solution, problem.points
        self.horizon = 1 + max(extras)
        size = self.horizon * self.points
        self.sites = [linear_site(solution, layer + 1) for layer in range(problem.hidden_layers)]
        self.turns, self.change = 0, 0.0
        self.driver_noise, self.driver_response = np.zeros((size, size)), np.zeros((size, size))
        self.stored: list[tuple[slice, tuple[list[np.ndarray], np.ndarray]]] = []
        self.variances: dict[int, np.ndarray] = {}
        self.covariances: dict[int, np.ndarray] = {}
        start = 0
        while start < self.horizon:
            stop = self._end_of_batch(start, extras)
            self._batch(start, stop, {t: extras[t] for t in range(start, stop) if t in extras})
            start = stop

    def residual_covariance(self) -> Float[np.ndarray, "time time"]:
        """N Cov of Delta."""
        loop = self._closed(self.horizon)
        return loop @ self.driver_noise @ loop.T

    def _end_of_batch(self, start: int, extras: dict[int, list[LinearObservable]]) -> int:
        count = 0
        for stop in range(start + 1, min(self.horizon, start + MOST_STEPS) + 1):
            count += self.points + len(extras.get(stop - 1, []))
            needed = 8.0 * ARRAYS * len(self.sites) / 3 * count * (stop * self.points) ** 2
            if needed > BATCH_BYTES:
                return max(stop - 1, start + 1)
        return min(self.horizon, start + MOST_STEPS)

    def _batch(self, start: int, stop: int, extras: dict[int, list[LinearObservable]]) -> None:
        """Solve steps start..stop - 1 at one horizon, and close the loop for their extra observables."""
        points, size = self.points, stop * self.points
        drivers, now = (stop - start) * points, slice(start * points, stop * points)
        wanted = [one for group in extras.values() for one in group]
        batch = drivers + len(wanted)
        kernels, outputs = np.zeros((2, len(self.sites), batch, size, size)), np.zeros((batch, size))
        for row in range(drivers):
            self._enter_driver(kernels[:, :, row], outputs[row], now.start + row)
        for row, one in enumerate(wanted, drivers):
            self._enter(kernels[:, :, row], outputs[row], one)
        adjoint = FrozenAdjoint(self.solution, self.sites, kernels, outputs).solve()
        self.turns, self.change = max(self.turns, adjoint.turns), max(self.change, adjoint.change)

        response = adjoint.finish()
        noise = np.zeros((batch, size))  # with the drivers so far
        for columns, vector in self.stored:
            noise[:, columns] = adjoint.covariance(*vector)
        own = adjoint.covariance(*adjoint.vector(batch))
        noise[:, now] = own[:, :drivers]
        if stop < self.horizon:
            self.stored.append((now, adjoint.vector(drivers)))
        self.driver_response[now, :size] = response[:drivers]
        self.driver_noise[now, :size] = noise[:drivers]
        self.driver_noise[:size, now] = noise[:drivers].T

        loop, first = self._closed(stop), drivers
        for step, group in extras.items():
            rows = slice(first, first + len(group))
            first += len(group)
            reaction, direct = response[rows] @ loop, noise[rows].copy()
            total = own[rows, rows].copy()
            for k, one in enumerate(group):
                if one.kind == "residual":
                    reaction[k] = loop[one.first[0] * points + one.first[1]]
            mixed = direct @ reaction.T
            total = total + mixed + mixed.T + reaction @ self.driver_noise[:size, :size] @ reaction.T
            self.covariances[step] = (total + total.T) / 2.0
            self.variances[step] = np.diagonal(total)

    def _closed(self, stop: int) -> Float[np.ndarray, "time time"]:
        """J: how the residual answers the drivers' own fluctuations."""
        problem, points, size = self.solution.problem, self.points, stop * self.points
        own, upon = np.eye(size), np.eye(size)
        if problem.residual_rule == "forward_pass":
            if problem.centered:
                upon[:, :points] -= np.tile(np.eye(points), (stop, 1))
        else:
            upon = np.eye(size, k=-points)
            rate = pull(problem, np.ones_like(self.solution.residual))[:points] / problem.richness
            for step in range(stop - 1):
                now, then = (slice(t * points, (t + 1) * points) for t in (step, step + 1))
                own[then, now] = self.solution.tangent_kernel[step] * rate - np.eye(points)
        return -np.linalg.solve(own + upon @ self.driver_response[:size, :size], upon)

    def _enter_driver(self, kernels: np.ndarray, output: np.ndarray, index: int) -> None:
        """f_m(t), or sum_n eta K_mn(t) Delta_n(t), where index = (t, m)."""
        problem, points = self.solution.problem, self.points
        if problem.residual_rule == "forward_pass":
            output[index] = 1.0
            return
        force = pull(problem, self.solution.residual) / problem.richness
        step = index // points
        for n in range(step * points, (step + 1) * points):
            self._enter_tangent(kernels, index, n, force[n])

    def _enter(self, kernels: np.ndarray, output: np.ndarray, one: LinearObservable) -> None:
        first, second = (step * self.points + point for step, point in (one.first, one.second))
        match one.kind:
            case "prediction":
                output[first] = 1.0
            case "feature_kernel" | "gradient_kernel":
                target = kernels[int(one.kind == "gradient_kernel"), one.layer - 1]
                target[first, second] += 0.5
                target[second, first] += 0.5
            case "tangent_kernel":
                self._enter_tangent(kernels, first, second, 1.0)

    def _enter_tangent(self, kernels: np.ndarray, first: int, second: int, weight: float) -> None:
        # K = sum_{l=0..L} G^{l+1} H^l: its slope towards H^l is G^{l+1}, and towards G^l it is H^{l-1}.
        for layer in range(len(self.sites)):
            below, above = neighbors(self.solution, layer + 1)
            for target, slope in ((kernels[0, layer], above), (kernels[1, layer], below)):
                target[first, second] += 0.5 * weight * slope[first, second]
                target[second, first] += 0.5 * weight * slope[first, second]


def _check(solution: DeepLinearSolution, one: LinearObservable) -> None:
    problem = solution.problem
    inside = all(
        0 <= step < problem.steps and 0 <= point < problem.points for step, point in (one.first, one.second)
    )
    if not (inside and 1 <= one.layer <= problem.hidden_layers):
        raise ValueError(
            f"{one}: give steps 0 to {problem.steps - 1}, points 0 to {problem.points - 1} and layers 1 to "
            f"{problem.hidden_layers}"
        )
    if one.kind == "tangent_kernel" and one.first[0] != one.second[0]:
        raise ValueError(f"{one}: the tangent kernel is of one step; give it twice")
