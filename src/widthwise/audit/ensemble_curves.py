"""Losses of ensembles against their size, as a page draws them and a file keeps them."""

import math
from dataclasses import dataclass

from widthwise.analysis.seeds import recentered_interval
from widthwise.analysis.verdict import Untested
from widthwise.audit.claims.bias import measure_ensembles
from widthwise.audit.ensemble_view import EnsembleView

Numbers = tuple[float | None, ...]


@dataclass(frozen=True)
class EnsembleCurves:
    """Ensembles at one step, on one split's points.

    **Fields:** `curves`, for each width the mean loss of ensembles of 1, 2, .. networks; `infinite`, of
    infinitely many, with the bounds of its interval at 1 - alpha; None where a number is not finite.
    """

    step: int
    split: str
    widths: tuple[int, ...]
    curves: tuple[Numbers, ...]
    infinite: Numbers
    low: Numbers
    high: Numbers

    def __post_init__(self) -> None:
        sizes = {len(each) for each in (self.widths, self.curves, self.infinite, self.low, self.high)}
        if len(sizes) > 1 or not self.widths or not all(self.curves) or min(self.widths) < 1:
            raise ValueError("ensembles are not by width")


def ensemble_curves(measured: EnsembleView) -> EnsembleCurves | None:
    """As `measure_ensembles` found them; None where the records do not allow it."""
    found = measure_ensembles(measured)
    if isinstance(found, Untested):
        return None
    bounds = [
        recentered_interval(each.draws, each.infinite, measured.alpha) if len(each.draws) else (math.nan,) * 2
        for each in found.found
    ]
    return EnsembleCurves(
        found.step,
        found.split,
        found.widths,
        tuple(_finite(each.curve) for each in found.found),
        _finite(each.infinite for each in found.found),
        _finite(low for low, _ in bounds),
        _finite(high for _, high in bounds),
    )


def _finite(values) -> Numbers:
    return tuple(float(value) if math.isfinite(value) else None for value in values)
