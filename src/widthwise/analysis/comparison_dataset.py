"""The numbers of a comparison as one labelled dataset."""

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr
from scipy import stats

from widthwise.analysis.align import Common, ordered_dims
from widthwise.analysis.findings import PartSummary
from widthwise.analysis.measure import VariableMeasurement

Labelled = dict[str, tuple[str | tuple[str, ...], np.ndarray]]


def number_dataset(
    theory: xr.Dataset,
    records: xr.Dataset,
    common: Common,
    measured: Mapping[str, VariableMeasurement],
    summaries: Mapping[str, PartSummary],
    alpha: float,
) -> xr.Dataset:
    """Everything measured, labelled; a number that could not be measured is NaN, which is xarray's "missing".

    For each variable `v`, at every element (width, step, ...): `v_mean`, `v_std` over seeds,
    `v_z_infinite_width`, `v_z_with_shift`, `v_variance_ratio`. For each part (dimension `part`):
    `variance_ratio`, `shift_ratio` (width, part) with `_low` and `_high`, `distance_single`,
    `distance_mean` (root mean square over elements, the latter without its noise), `distance_mean_z`,
    `distance_mean_resolved`, `largest_z_...` (width, part); `variance_scaling`, `shift_scaling`,
    `exponent_single`, `exponent_mean` (part) with `_low` and `_high`, `amplitude_...` of the fitted lines;
    by step (width, part, step): `scaled_variance` (N s^2, mean over elements) with `_low` and `_high`,
    `rms_distance`; `theory_scaled_variance`, `..._stderr` (part, step).
    """
    widths = [int(w) for w in records["width"].to_numpy()]
    found: Labelled = {"seeds": ("width", common.valid.sum(axis=1))}
    for variable, result in measured.items():
        dims = ("width", *ordered_dims(theory[variable]))
        for name, values in result.elements.items():
            found[f"{variable}_{name}"] = (dims, values)
    found |= _by_width(widths, measured, summaries, alpha)
    found |= _limits(summaries, alpha)
    found |= _by_step(widths, len(common.steps), measured, alpha)
    numbers = xr.Dataset(found, coords={"width": widths, "step": common.steps, "part": list(summaries)})
    labels = [name for name in ("point", "point_b", "split", "layer", "output") if name in theory.coords]
    kept = {name: theory[name] for name in labels if set(theory[name].dims) <= set(numbers.dims)}
    return numbers.assign_coords(kept)


def _by_width(
    widths: list[int],
    measured: Mapping[str, VariableMeasurement],
    summaries: Mapping[str, PartSummary],
    alpha: float,
) -> Labelled:
    names = ("variance_ratio", "shift_ratio")
    tables = {f"{n}{s}": _missing(len(widths), len(summaries)) for n in names for s in ("", "_low", "_high")}
    kinds = ("distance_single", "distance_mean", "distance_mean_z", "distance_mean_resolved")
    tables |= {name: _missing(len(widths), len(summaries)) for name in kinds}
    for column, summary in enumerate(summaries.values()):
        for row, width in enumerate(widths):
            for name, estimates in zip(names, (summary.variance_ratio, summary.shift_ratio), strict=True):
                if width in estimates:
                    estimate = estimates[width]
                    positive = name == "variance_ratio"
                    bounds = estimate.ratio_interval(alpha) if positive else estimate.interval(alpha)
                    _put(tables, name, (row, column), (estimate.value, *bounds))
            found = summary.distances
            if width in found.single:
                tables["distance_single"][row, column] = found.single[width]
            if summary.seeds.get(width, 0) > 1:
                tables["distance_mean"][row, column] = found.mean[width]
                tables["distance_mean_z"][row, column] = found.mean_z[width]
                tables["distance_mean_resolved"][row, column] = found.mean_resolved[width]
    labelled: Labelled = {name: (("width", "part"), table) for name, table in tables.items()}
    labelled["distance_mean_resolved"] = (("width", "part"), tables["distance_mean_resolved"] == 1.0)
    parts = [(result, part) for result in measured.values() for part in result.parts]
    for kind in ("z_infinite_width", "z_with_shift"):
        table = _missing(len(widths), len(parts))
        for column, (result, part) in enumerate(parts):
            if kind in result.elements:
                z = np.abs(part.elements(result.elements[kind]))
                table[:, column] = z.reshape(len(widths), -1).max(axis=1)
        labelled[f"largest_{kind}"] = (("width", "part"), table)
    return labelled


def _limits(summaries: Mapping[str, PartSummary], alpha: float) -> Labelled:
    names = ("variance_scaling", "shift_scaling", "exponent_single", "exponent_mean")
    tables = {f"{n}{s}": _missing(len(summaries)) for n in names for s in ("", "_low", "_high")}
    tables |= {f"amplitude_{kind}": _missing(len(summaries)) for kind in ("single", "mean")}
    for column, summary in enumerate(summaries.values()):
        for name, limit in zip(names, (summary.variance_limit, summary.shift_limit), strict=False):
            if limit is not None:
                _put(tables, name, (column,), (limit.value, *limit.interval(alpha)))
        for kind, law in (("single", summary.distances.single_law), ("mean", summary.distances.mean_law)):
            if law is not None:
                _put(tables, f"exponent_{kind}", (column,), (law.exponent, law.low, law.high))
                tables[f"amplitude_{kind}"][column] = law.amplitude
    return {name: ("part", table) for name, table in tables.items()}


def _by_step(
    widths: list[int], steps: int, measured: Mapping[str, VariableMeasurement], alpha: float
) -> Labelled:
    pieces = [
        (part, theory, result)
        for result in measured.values()
        for part, theory in zip(result.parts, result.theories, strict=True)
    ]
    names = ("scaled_variance", "scaled_variance_low", "scaled_variance_high", "rms_distance")
    tables = {name: _missing(len(widths), len(pieces), steps) for name in names}
    expected = {name: _missing(len(pieces), steps) for name in ("", "_stderr")}
    for column, (part, theory, result) in enumerate(pieces):
        if theory.variance is not None:
            expected[""][column] = theory.variance.mean(axis=1)
            if theory.variance_error is not None:
                expected["_stderr"][column] = theory.variance_error.mean(axis=1)
        for row, width in enumerate(widths):
            cell = result.cells.get((part.label, width))
            if cell is None:
                continue
            tables["rms_distance"][row, column] = np.sqrt(cell.squared_distance)
            if cell.seeds > 1:
                half = stats.t.isf(alpha / 2, cell.seeds - 1) * cell.variance_relative_error
                factor = np.exp(np.where(np.isfinite(half), half, np.nan))
                tables["scaled_variance"][row, column] = width * cell.variance
                tables["scaled_variance_low"][row, column] = width * cell.variance / factor
                tables["scaled_variance_high"][row, column] = width * cell.variance * factor
    labelled: Labelled = {name: (("width", "part", "step"), table) for name, table in tables.items()}
    for suffix, table in expected.items():
        labelled[f"theory_scaled_variance{suffix}"] = (("part", "step"), table)
    return labelled


def _missing(*shape: int) -> np.ndarray:
    return np.full(shape, np.nan)


def _put(
    tables: dict[str, np.ndarray], name: str, where: tuple[int, ...], values: tuple[float, float, float]
) -> None:
    """A value with its bounds; infinite bounds are missing."""
    for suffix, value in zip(("", "_low", "_high"), values, strict=True):
        tables[f"{name}{suffix}"][where] = value if math.isfinite(value) else np.nan
