"""Infinite width as theory has it: the reference of an audit whose records belong to a theory."""

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from widthwise.analysis.align import step_labels
from widthwise.analysis.ensembling import losses_of
from widthwise.audit.claims.bias import Ensembles
from widthwise.audit.claims.classes import loss_kind, points_of, read_points, targets_at
from widthwise.audit.ensemble_view import EnsembleView


def loss_curve(
    theory: xr.Dataset, measured: EnsembleView, steps: list[int]
) -> tuple[list[int], Float[np.ndarray, " step"], Float[np.ndarray, " step"]] | None:
    """Those of the positions `steps` at which theory has a loss, that of the last split there, and its
    numerical standard error (zero where theory gives none); None if there are none."""
    if "loss" not in theory or "loss" not in measured.records or "step" not in theory["loss"].dims:
        return None
    at = _positions(theory, measured.steps[steps])
    values = _last_split(theory["loss"])[at]
    errors = _last_split(theory["loss_stderr"])[at] if "loss_stderr" in theory else np.zeros(len(at))
    known = (at >= 0) & np.isfinite(values)
    if not known.any():
        return None
    return (
        [s for s, good in zip(steps, known, strict=True) if good],
        values[known],
        np.nan_to_num(errors[known]),
    )


def ensemble_loss(theory: xr.Dataset, measured: EnsembleView, ensembles: Ensembles) -> float | None:
    """Loss of theory's prediction at the step and on the points of the ensembles; None where it has none."""
    if "prediction" not in theory or set(theory["prediction"].dims) != {"step", "point", "output"}:
        return None
    at = int(_positions(theory, np.array([ensembles.step]))[0])
    if at < 0:
        return None
    held, _ = points_of(measured)
    chosen = read_points(measured)[held]
    f = theory["prediction"].isel(step=at).transpose("point", "output").to_numpy()[chosen]
    y = targets_at(measured, chosen)
    if y is None:
        return None
    value = float(losses_of(f.astype(float)[None], y, loss_kind(measured))[0])
    return value if np.isfinite(value) else None


def _positions(theory: xr.Dataset, labels: Int[np.ndarray, " label"]) -> Int[np.ndarray, " label"]:
    """Where theory has these steps, -1 where it does not."""
    place = {int(step): index for index, step in enumerate(step_labels(theory))}
    return np.array([place.get(int(label), -1) for label in labels])


def _last_split(array: xr.DataArray) -> Float[np.ndarray, " step"]:
    values = array.transpose("step", ...).to_numpy().astype(np.float64)
    return values.reshape(len(values), -1)[:, -1]
