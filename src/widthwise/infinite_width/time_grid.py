"""How much of every past gradient the weights have received: any explicit method of training, as a table.

The deep theory reads the history of a network only through these numbers, so gradient descent, or a flow
integrated to high order, are tables, not code.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from widthwise.study import TrainingSettings

# Classical Runge-Kutta starts the flow, for it needs no past; then Adams and Bashforth's fourth-order method
# needs one evaluation a step.
ADAMS_BASHFORTH = np.array([55, -59, 37, -9]) / 24


class TimeGrid(NamedTuple):
    """`rates[i, j]`: what gradient j has moved the weights by at evaluation i; zero for j >= i. `at[k]`: the
    evaluation that is training step k."""

    rates: Float[np.ndarray, "evaluation evaluation"]
    at: Int[np.ndarray, " step"]


def time_grid(training: TrainingSettings, train: int, last: int) -> TimeGrid:
    """That of `training` on `train` points up to step `last`.

    "gd": $W(t) = W(0) + \\eta \\sum_{s<t} V(s)$. "gradient_flow": `substeps` steps of length
    $\\eta$ / `substeps` between training steps, the first three by Runge-Kutta, error $O(substeps^{-4})$.
    """
    rate = training.point_rate(train)
    if training.optimizer == "gd":
        return TimeGrid(rate * np.tri(last + 1, k=-1), np.arange(last + 1))
    length, substeps = rate / training.substeps, training.substeps * last
    starting = min(substeps, len(ADAMS_BASHFORTH) - 1)
    unit = np.eye(count_evaluations(training, last))
    rows, nodes = [], []
    moved = np.zeros(len(unit))
    for substep in range(substeps + 1):
        nodes.append(len(rows))
        rows.append(moved)
        if substep < starting:
            first, second, third, fourth = unit[len(rows) - 1 : len(rows) + 3]
            rows += [moved + length / 2 * first, moved + length / 2 * second, moved + length * third]
            moved = moved + length / 6 * (first + 2 * second + 2 * third + fourth)
        else:
            recent = unit[nodes[: -len(ADAMS_BASHFORTH) - 1 : -1]]
            moved = moved + length * ADAMS_BASHFORTH[: len(recent)] @ recent
    return TimeGrid(np.stack(rows), np.array(nodes[:: training.substeps]))


def count_evaluations(training: TrainingSettings, last: int) -> int:
    """How many evaluations of the network `time_grid` has: a flow has others between the training steps."""
    if training.optimizer == "gd":
        return last + 1
    substeps = training.substeps * last
    return substeps + 1 + 3 * min(substeps, len(ADAMS_BASHFORTH) - 1)


def flow_error_of(training: TrainingSettings, eigenvalue: float, last: int) -> float:
    """Error of `time_grid` on exponential decay at the rate of a kernel's largest eigenvalue.

    The largest difference, at the training steps, of the mode's residual from $e^{-\\lambda\\tau}$, as a
    share of where it began; at least 1 where the method is unstable. Zero for gradient descent.
    """
    if training.optimizer == "gd":
        return 0.0
    grid = time_grid(training, 1, last)
    residual = np.ones(len(grid.rates))
    with np.errstate(over="ignore", invalid="ignore"):
        for i in range(1, len(residual)):
            residual[i] = 1 - eigenvalue * grid.rates[i, :i] @ residual[:i]
    exact = np.exp(-eigenvalue * training.learning_rate * np.arange(last + 1))
    error = np.abs(residual[grid.at] - exact).max()
    return float(error) if np.isfinite(error) else np.inf
