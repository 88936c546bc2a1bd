"""Theory's numbers for one part, as root mean squares over its elements, step by step."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from widthwise.analysis.align import MEASURED, Part, find_parts, step_labels
from widthwise.analysis.same_study import point_splits
from widthwise.records.schema import SCAN_VARIABLES

RESOLVED = 3.0  # numerical errors by which a value must exceed zero to be divided by

Curve = Float[np.ndarray, "step"]


@dataclass(frozen=True)
class TheorySeries:
    r"""One part (a split, a layer, or all of a variable) along its first axis; what was not computed is None.

    Means are over the part's elements e: points and outputs, the pairs of a kernel once, or the one loss.

    **Fields:** `steps`, labels of that axis (richnesses for a scan); `value` $= \sqrt{\overline{v_e^2}}$;
    `error`, its standard error, as if those of the elements were fully correlated; `variance`
    $= \overline{V_e}$, N times the variance, with its error; `shift` $= \overline{v_e s_e} / \mathrm{value}$,
    N times the change of `value` by the mean shifts s_e; `shift_error`; `shift_size`
    $= \sqrt{\overline{s_e^2}}$. Where the value is not finite (after a divergence) nor are the others.
    """

    label: str
    steps: Int[np.ndarray, "step"] | Float[np.ndarray, "step"]
    value: Curve
    error: Curve
    variance: Curve | None
    variance_error: Curve
    shift: Curve | None
    shift_error: Curve
    shift_size: Curve | None

    @property
    def resolved(self) -> Bool[np.ndarray, "step"]:
        """Where the value exceeds zero by more than its numerical error, so that it may be divided by."""
        with np.errstate(invalid="ignore"):
            return np.isfinite(self.value) & (self.value > RESOLVED * self.error) & (self.value > 0)

    @property
    def relative_spread(self) -> Curve | None:
        r"""$\sqrt{\overline{V}} / \mathrm{value}$; over $\sqrt N$, the relative spread of one network.

        NaN where the value is not resolved.
        """
        if self.variance is None:
            return None
        return self._over_value(np.sqrt(np.maximum(self.variance, 0.0)))

    @property
    def relative_spread_error(self) -> Curve:
        """Standard error of `relative_spread`, to first order."""
        spread = self.relative_spread
        if spread is None or self.variance is None:
            return np.full(len(self.steps), np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = 0.5 * self.variance_error / self.variance + self.error / self.value
        return np.where(spread > 0, spread * relative, 0.0 * spread)

    @property
    def relative_shift(self) -> Curve | None:
        """Root mean square shift over the value: over N it is the relative shift at width N; NaN as above."""
        return None if self.shift_size is None else self._over_value(self.shift_size)

    def _over_value(self, numbers: Curve) -> Curve:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.resolved, numbers / self.value, np.nan)


def theory_series(theory: xr.Dataset) -> list[TheorySeries]:
    """Every part of every variable of the theory, in the schema's order."""
    steps, found = step_labels(theory), []
    for variable in MEASURED:
        if variable in theory and "step" in theory[variable].dims:
            found += [_series(theory, part, steps) for part in find_parts(theory, variable)]
    return found


def scan_series(theory: xr.Dataset) -> list[TheorySeries]:
    """The same of the richness scan, along the richness; labels are "scan_prediction, test" and so on."""
    if "richness" not in theory.coords:
        return []
    names, splits = list(dict.fromkeys(point_splits(theory))), np.array(point_splits(theory))
    found = []
    for variable, schema in SCAN_VARIABLES.items():
        for position, name in enumerate(names if variable in theory else []):
            along = "split" if "split" in schema.dims else "point"
            index = np.array([position]) if along == "split" else np.flatnonzero(splits == name)
            part = Part(variable, f"{variable}, {name}", schema.dims, along, index)
            found.append(_series(theory, part, theory["richness"].to_numpy()))
    return found


def _series(theory: xr.Dataset, part: Part, steps: np.ndarray) -> TheorySeries:
    def elements(suffix: str) -> Float[np.ndarray, "step element"] | None:
        name = part.variable + suffix
        if name not in theory or set(theory[name].dims) != set(part.dims):
            return None
        values = part.elements(theory[name].transpose(*part.dims).to_numpy().astype(np.float64))
        return values if np.isfinite(values).any() else None

    values, variance, shift = elements(""), elements("_variance"), elements("_shift")
    missing = np.full(len(steps), np.nan)
    if values is None:
        return TheorySeries(part.label, steps, missing, missing, None, missing, None, missing, None)

    def error(suffix: str, weights: np.ndarray | None = None) -> Curve:
        """Mean of the elements' standard errors: an upper end, which full correlation reaches."""
        found = elements(suffix)
        if found is None:
            return np.where(np.isfinite(values).all(axis=1), 0.0, np.nan)
        return found.mean(axis=1) if weights is None else (weights * found).sum(axis=1)

    size = _rms(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        # The weight of each element in a change of the root mean square; none where all values are zero.
        weights = np.where(size[:, None] == 0, 0.0, values / size[:, None]) / values.shape[1]
    return TheorySeries(
        label=part.label,
        steps=steps,
        value=size,
        error=error("_stderr", np.abs(weights)),
        variance=None if variance is None else variance.mean(axis=1),
        variance_error=error("_variance_stderr"),
        shift=None if shift is None else (weights * shift).sum(axis=1),
        shift_error=error("_shift_stderr", np.abs(weights)),
        shift_size=None if shift is None else _rms(shift),
    )


def _rms(values: Float[np.ndarray, "step element"]) -> Curve:
    return np.sqrt((values**2).mean(axis=1))
