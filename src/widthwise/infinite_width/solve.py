"""Infinite width: the order parameters of a study, with their numerical errors. Begin here."""

import time
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Int

from widthwise.data import Points
from widthwise.data.load import load_points
from widthwise.errors import InputError
from widthwise.infinite_width.causal_pass import deep_solver
from widthwise.infinite_width.exact_cases import ExactOrders, exact_orders
from widthwise.infinite_width.one_hidden_layer import flow_error, one_hidden_layer_solver
from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.infinite_width.replicates import map_replicates, orders_and_stderr
from widthwise.infinite_width.solution_memory import require_memory_for_values
from widthwise.infinite_width.supports import is_one_population, require_theory
from widthwise.infinite_width.time_grid import flow_error_of
from widthwise.progress import SILENT, Progress
from widthwise.study import Study

DIVERGED = 1e30  # outputs beyond this are on their way to infinity; their powers are still finite
FLOW_TOLERANCE = 1e-5  # relative error of the outputs from the steps of a flow


@dataclass(frozen=True)
class InfiniteWidthSolution:
    """The infinitely wide network of a study.

    **Fields:** `steps`, recorded steps; `values` and `stderr`, order parameters and their standard errors
    from independent scramblings; `diverged_at`, the first recorded step without a finite value (NaN from
    there on) or None; `flow_error`, relative error of the outputs from the integration steps of a flow (zero
    for gradient descent); `wall_time` in seconds; `outcome`, with advice unless it is "solved"; `exact`, the
    closed form that gave the values (their errors are zero), None where they were sampled.
    """

    study: Study
    points: Points
    steps: Int[np.ndarray, " step"]
    values: OrderParameters
    stderr: OrderParameters
    diverged_at: int | None
    flow_error: float
    wall_time: float
    outcome: str
    exact: ExactOrders | None = None

    @property
    def finite_steps(self) -> Int[np.ndarray, " step"]:
        """The recorded steps before any divergence."""
        return self.steps if self.diverged_at is None else self.steps[self.steps < self.diverged_at]


def solve_infinite_width(
    study: Study,
    *,
    points: Points | None = None,
    progress: Progress = SILENT,
    throw: bool = True,
    exact: bool = True,
) -> InfiniteWidthSolution:
    """Solve the infinitely wide network of `study`.

    **Arguments:** `points`: in place of those the study names. `throw`: raise when the outputs diverge;
    otherwise the values are NaN from the bad step on and `outcome` gives the advice. `exact`: take the closed
    form of a study that has one (see `exact_orders`), with order 1/N from it too.
    **Returns:** an `InfiniteWidthSolution`. One hidden layer costs O(sites P^2 steps) in time and O(sites P)
    in memory; L of them O(L sites (P steps)^2) and O(L sites P steps + L (P steps)^2).
    **Errors:** `InputError` for divergence, and for studies that theory does not treat.
    **Source:** Bordelon and Pehlevan, arXiv 2205.09653.
    """
    require_theory(study)
    points = load_points(study) if points is None else points
    started, steps = time.perf_counter(), study.recorded_steps()
    if exact and (known := exact_orders(study, points)) is not None:
        nothing = OrderParameters(*(np.zeros_like(leaf) for leaf in known.values))
        seconds = time.perf_counter() - started
        return InfiniteWidthSolution(
            study, points, steps, known.values, nothing, None, 0.0, seconds, "solved", known
        )
    require_memory_for_values(len(steps), points.targets.shape, study.theory.scramblings)
    shallow = is_one_population(study)
    with jax.enable_x64(True):
        solver = (one_hidden_layer_solver if shallow else deep_solver)(study, points)
        change = flow_error(study, points) if shallow else None

    def solve(replicate: int) -> OrderParameters:
        return jax.tree.map(np.asarray, solver(replicate))

    replicates = map_replicates(
        solve, list(range(study.theory.scramblings)), label="infinite width", progress=progress
    )
    values, stderr = orders_and_stderr(replicates)
    bad = ~(np.abs(values.prediction).max(axis=(1, 2)) < DIVERGED) | ~np.isfinite(values.loss).all(axis=1)
    diverged_at, outcome = None, "solved"
    if bad.any():
        first = int(np.argmax(bad))
        diverged_at = int(steps[first])
        outcome = (
            f"diverged: the outputs are not finite from step {diverged_at} on; "
            f"lower `training.learning_rate` = {study.training.learning_rate}"
            + (" or raise `training.substeps`" if study.training.optimizer == "gradient_flow" else "")
        )
        if throw:
            raise InputError(outcome)
        for leaf in (*values, *stderr):
            leaf[first:] = np.nan
    if change is None:
        change = _deep_flow_error(study, points, values)
    return InfiniteWidthSolution(
        study, points, steps, values, stderr, diverged_at, change, time.perf_counter() - started, outcome
    )


def _deep_flow_error(study: Study, points: Points, values: OrderParameters) -> float:
    """Of the fastest mode of the tangent kernel between training points, at its fastest."""
    kernels = np.nan_to_num(values.tangent_kernel[:, : points.train, : points.train])
    symmetric = study.training.learning_rule == "backpropagation"
    rates = np.linalg.eigvalsh(kernels) if symmetric else np.linalg.eigvals(kernels).real
    fastest = float(rates.max())
    share = study.training.point_rate(points.train) / study.training.learning_rate
    return flow_error_of(study.training, fastest * share, int(study.recorded_steps()[-1]))
