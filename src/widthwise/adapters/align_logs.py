"""Losses of logs whose steps differ, at common steps: interpolated between a run's own, never beyond."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from widthwise.adapters.found_run import Run
from widthwise.wording import percent

MOST_STEPS = 1000


def align_logs(runs: Sequence[Run]) -> tuple[list[Run], Int[np.ndarray, " step"], list[str]]:
    """Runs of logs with the same steps; the steps left out; sentences that say what was done. Runs that have
    the same steps, or are of stores, stay as they are.

    The steps are all of any run between the last of the first steps and the first of the last ones, of very
    many about a thousand, evenly in log steps. Losses between are linear in log(1 + step). A run that
    diverged limits nothing, and has no losses from there on.
    """
    found, none = list(runs), np.zeros(0, int)
    if not found or not all(run.of_log for run in found):
        return found, none, []
    if all(np.array_equal(run.steps, found[0].steps) for run in found):
        return found, none, []
    deciding = [run for run in found if run.diverged_at < 0] or found
    low, high = max(int(run.steps[0]) for run in deciding), min(int(run.steps[-1]) for run in deciding)
    every = np.unique(np.concatenate([run.steps for run in found]))
    outside = every[(every < low) | (every > high)]
    steps = _thinned(every[(every >= low) & (every <= high)])
    if len(steps) == 0:
        return found, none, []
    notes = []
    own = min(float(np.isin(steps, run.steps).mean()) for run in deciding)
    if own < 1:
        notes.append(
            f"steps differ from run to run: losses are interpolated, linearly in log steps, at up to "
            f"{percent(1 - own, 2)} of the {len(steps)} steps from {low} to {high}"
        )
    if len(outside):
        share = percent(high / max(int(every[-1]), 1), 2)
        notes.append(
            f"steps {listed(outside)} are left out: not all runs have them; {share} of the longest run's "
            f"{every[-1]} steps are covered"
        )
    aligned = [replace(run, steps=steps[_within(run, steps)], arrays=_at(run, steps)) for run in found]
    return aligned, outside, notes


def listed(steps: np.ndarray) -> str:
    """The first few steps, and the last."""
    shown = [str(int(step)) for step in steps[:6]]
    return ", ".join(shown) + (f", ... {int(steps[-1])}" if len(steps) > 6 else "")


def _at(run: Run, steps: Int[np.ndarray, " step"]) -> dict[str, xr.Variable]:
    """Losses of a run at those of the steps that are within its own."""
    wanted = steps[_within(run, steps)]
    array = run.arrays["loss"]
    values = array.transpose("step", ...).to_numpy().astype(float)
    axes = [str(dim) for dim in array.dims if dim != "step"]
    time, there = np.log1p(run.steps.astype(float)), np.log1p(wanted.astype(float))
    flat = values.reshape(len(values), -1)
    at: Float[np.ndarray, "step _"] = np.stack([np.interp(there, time, column) for column in flat.T], axis=1)
    exact = np.searchsorted(run.steps, wanted).clip(0, len(run.steps) - 1)
    known = run.steps[exact] == wanted
    at[known] = flat[exact[known]]
    return {"loss": xr.Variable(("step", *axes), at.reshape(len(wanted), *values.shape[1:]))}


def _within(run: Run, steps: Int[np.ndarray, " step"]) -> np.ndarray:
    return (steps >= run.steps[0]) & (steps <= run.steps[-1])


def _thinned(steps: Int[np.ndarray, " step"]) -> Int[np.ndarray, " step"]:
    if len(steps) <= MOST_STEPS:
        return steps
    time = np.log1p(steps.astype(float))
    at = np.searchsorted(time, np.linspace(time[0], time[-1], MOST_STEPS)).clip(0, len(steps) - 1)
    return steps[np.unique(at)]
