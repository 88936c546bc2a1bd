"""Predictions and losses of the last recorded step against the richness: signal, noise and bias."""

import json
from dataclasses import replace

import numpy as np
import xarray as xr

from widthwise.infinite_width import InfiniteWidthSolution, solve_infinite_width
from widthwise.observables.theory_dataset import meaning, solve_fluctuations
from widthwise.progress import SILENT, Progress
from widthwise.records.schema import COMPANIONS, COORDINATES, SCAN_VARIABLES
from widthwise.study import Study

PREFIX = "scan_"


def add_richness_scan(
    theory: xr.Dataset, limit: InfiniteWidthSolution, *, progress: Progress = SILENT
) -> xr.Dataset:
    """The theory of a study with its richness scan: what its last recorded step is at other richnesses.

    Each richness of `theory.richness_scan` is a study of its own, solved on the same points at the last
    recorded step alone: `scan_prediction` (richness, point, output), `scan_loss` (richness, split), and
    their companions `_variance`, `_shift` and `_stderr` as far as the theory of that depth has them. Where
    the network diverges the numbers are missing (NaN), and the theory's warnings say at which richness.

    **Arguments:** `theory`, the dataset of `solve_fluctuations(limit)`; `limit` of the study and its points.
    **Returns:** a new dataset; the same one if the study asks for no scan.
    """
    richnesses = limit.study.theory.richness_scan
    if not richnesses:
        return theory
    progress.start("richness scan", len(richnesses))
    solved: list[xr.Dataset | None] = []
    for richness in richnesses:
        solved.append(_last_step(limit, richness))
        if solved[-1] is None:
            progress.say(f"richness {richness:g}: diverged")
        progress.advance()
    scan = _stacked(solved, limit).sortby("richness")
    warnings = json.loads(str(theory.attrs.get("warnings", "[]")))
    if bad := [f"{g:g}" for g, each in zip(richnesses, solved, strict=True) if each is None]:
        warnings.append(
            f"In the richness scan the infinitely wide network diverged at richness {', '.join(bad)}: lower "
            "training.learning_rate or leave those out of theory.richness_scan."
        )
    return theory.merge(scan).assign_attrs(theory.attrs | {"warnings": json.dumps(warnings)})


def has_scan_of(theory: xr.Dataset, study: Study) -> bool:
    """Whether the theory holds just the richnesses that the study asks for."""
    found = theory["richness"].to_numpy() if "richness" in theory.coords else np.zeros(0)
    return sorted(study.theory.richness_scan) == found.tolist()


def _last_step(limit: InfiniteWidthSolution, richness: float) -> xr.Dataset | None:
    """Predictions and losses at the last recorded step at this richness; None if they diverge."""
    study = limit.study
    other = replace(
        study,
        network=replace(study.network, richness=richness),
        theory=replace(study.theory, observables=("prediction", "loss"), richness_scan=()),
        record=replace(study.record, steps=(int(limit.steps[-1]),)),
    )
    solution = solve_infinite_width(other, points=limit.points, throw=False)
    if solution.diverged_at is not None:
        return None
    return solve_fluctuations(solution).isel(step=0)


def _stacked(solved: list[xr.Dataset | None], limit: InfiniteWidthSolution) -> xr.Dataset:
    sizes = {
        "point": len(limit.points.targets),
        "output": limit.points.targets.shape[1],
        "split": len(set(limit.points.splits)),
    }
    variables = {}
    for name, schema in SCAN_VARIABLES.items():
        shape = [sizes[dim] for dim in schema.dims[1:]]
        for suffix in ("", *(f"_{companion}" for companion in COMPANIONS)):
            one = name.removeprefix(PREFIX) + suffix
            if suffix and not any(each is not None and one in each for each in solved):
                continue  # never computed: absent
            rows = [np.full(shape, np.nan) if each is None else each[one].to_numpy() for each in solved]
            long_name = schema.long_name + meaning(suffix)
            variables[name + suffix] = xr.Variable(schema.dims, np.stack(rows), {"long_name": long_name})
    axis = COORDINATES["richness"]
    values = np.array(limit.study.theory.richness_scan)
    richness = xr.Variable(axis.dims, values, {"long_name": axis.long_name})
    return xr.Dataset(variables, coords={"richness": richness})
