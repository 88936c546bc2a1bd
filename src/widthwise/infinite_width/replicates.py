"""Independent scramblings of the sites, solved side by side; their scatter is the numerical error."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import jax
import numpy as np
from jaxtyping import Array, Float

from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.progress import Progress

Result = TypeVar("Result")
Job = TypeVar("Job")


def map_replicates(
    solve: Callable[[Job], Result], jobs: Sequence[Job], *, label: str, progress: Progress
) -> list[Result]:
    """`[solve(job) for job in jobs]` in double precision, as many at once as there are processors."""

    def in_double(job: Job) -> Result:
        with jax.enable_x64(True):
            return solve(job)

    progress.start(label, len(jobs))
    results = [in_double(jobs[0])]  # alone, so that it compiles once
    progress.advance()
    pool = ThreadPoolExecutor(max_workers=os.cpu_count())
    try:
        for result in pool.map(in_double, jobs[1:]):
            results.append(result)
            progress.advance()
    finally:
        pool.shutdown(cancel_futures=True)
    return results


def mean_and_stderr(
    replicates: Sequence[Float[Array | np.ndarray, "..."]],
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Mean over independent replicates and its standard error s / sqrt(R)."""
    stacked = np.stack([np.asarray(r) for r in replicates])
    return stacked.mean(axis=0), stacked.std(axis=0, ddof=1) / np.sqrt(len(stacked))


def orders_and_stderr(
    replicates: Sequence[OrderParameters], steps: int | None = None
) -> tuple[OrderParameters, OrderParameters]:
    """`mean_and_stderr` of every order parameter, made `steps` long by `nan_after` if given."""
    pairs = [mean_and_stderr(leaves) for leaves in zip(*replicates, strict=True)]
    means, errors = zip(*([nan_after(x, steps or len(x)) for x in pair] for pair in pairs), strict=True)
    return OrderParameters(*means), OrderParameters(*errors)


def nan_after(
    values: Float[Array | np.ndarray, "..."], steps: int, time_axes: int = 1
) -> Float[np.ndarray, "..."]:
    """Made `steps` long on its leading `time_axes`, NaN at the steps from a divergence on."""
    shape = np.shape(values)
    missing = [(0, steps - size) if axis < time_axes else (0, 0) for axis, size in enumerate(shape)]
    return np.pad(np.asarray(values), missing, constant_values=np.nan)
