"""Theory's numbers for one part, aligned with the records' steps."""

from dataclasses import dataclass, fields, replace

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from widthwise.analysis.align import Common, Part

# An element varies over seeds only if its scatter exceeds this many roundings of the largest value.
ROUNDINGS = 32.0
# The matched filter leaves out what theory knows less well than so many of its standard errors.
KNOWN = 8.0


@dataclass(frozen=True)
class PartTheory:
    """Theory at a part's elements (step, element); companions that were not computed are None.

    `rounding` is the size below which a difference in the records is arithmetic, not information; `steps`
    are the labels of the steps, their positions if None.
    """

    value: Float[np.ndarray, "step element"]
    error: Float[np.ndarray, "step element"]
    variance: Float[np.ndarray, "step element"] | None
    variance_error: Float[np.ndarray, "step element"] | None
    shift: Float[np.ndarray, "step element"] | None
    shift_error: Float[np.ndarray, "step element"] | None
    rounding: float
    steps: Int[np.ndarray, "step"] | None = None

    def expected_shift(self, width: int) -> Float[np.ndarray, "step element"]:
        """Mean at `width` minus infinite width, shift / N; 0 without a shift."""
        return np.zeros_like(self.value) if self.shift is None else self.shift / width

    def mean_error(self, width: int) -> Float[np.ndarray, "step element"]:
        """Standard error of theory's mean at `width`: its two errors added, as if fully correlated."""
        return self.error + (0.0 if self.shift_error is None else self.shift_error / width)

    def matched_filter(self) -> Float[np.ndarray, "step element"] | None:
        """Weights c with sum c shift = 1 that pick the shift out of the seeds' scatter; None without a shift.

        c is proportional to shift / (V + mean V); without the floor it would trust elements that hardly vary.
        Elements at which theory knows its own shift less well than `KNOWN` to one, and half as well as where
        it knows it best, are left out: their errors would add up.
        """
        if self.shift is None or not self.shift.any():
            return None
        weights = self.shift
        if self.variance is not None and self.variance.mean() > 0:
            weights = self.shift / (np.maximum(self.variance, 0.0) + self.variance.mean())
        if self.shift_error is not None:
            size, error = np.abs(self.shift), self.shift_error
            best = float((size[error > 0] / error[error > 0]).max(initial=0.0))
            weights = np.where(size >= min(KNOWN, best / 2) * error, weights, 0.0)
        return weights / (weights * self.shift).sum()

    def at(self, steps: slice) -> "PartTheory":
        """The same at some of the steps."""
        arrays = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "rounding"}
        cut = {name: None if values is None else values[steps] for name, values in arrays.items()}
        return replace(self, **cut)


def companion(theory: xr.Dataset, part: Part, suffix: str, common: Common) -> Float[np.ndarray, "..."] | None:
    """`variable + suffix` (step, ...) at the common steps; None if absent or not finite."""
    name = part.variable + suffix
    if name not in theory or set(theory[name].dims) != set(part.dims):
        return None
    values = theory[name].transpose(*part.dims).to_numpy()[common.theory_at].astype(np.float64)
    return values if np.isfinite(values).all() else None


def rounding_of(theory: xr.Dataset, records: xr.Dataset, variable: str) -> float:
    """`ROUNDINGS` units in the last place of the variable's largest value, in the records' precision."""
    dtype = records[variable].dtype
    precision = np.finfo(dtype if dtype.kind == "f" else np.float64).eps
    return ROUNDINGS * float(precision) * float(np.nanmax(np.abs(theory[variable].to_numpy())))


def read_part_theory(theory: xr.Dataset, part: Part, common: Common, rounding: float) -> PartTheory:
    """Theory's numbers for one part at the common steps."""

    def chosen(suffix: str) -> Float[np.ndarray, "step element"] | None:
        whole = companion(theory, part, suffix, common)
        return None if whole is None else part.elements(whole)

    value, error = chosen(""), chosen("_stderr")
    assert value is not None, "common steps are those at which theory is finite"
    return PartTheory(
        value=value,
        error=np.zeros_like(value) if error is None else error,
        variance=chosen("_variance"),
        variance_error=chosen("_variance_stderr"),
        shift=chosen("_shift"),
        shift_error=chosen("_shift_stderr"),
        rounding=rounding,
        steps=common.steps,
    )
