"""How wide is wide enough, and how many seeds are many enough, from theory alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float

from widthwise.analysis.align import MEASURED, find_parts
from widthwise.analysis.series import TheorySeries, theory_series
from widthwise.errors import InputError

TOLERANCE = 0.01


@dataclass(frozen=True)
class Sufficient:
    """The least width that keeps a relative deviation below the tolerance, and the step that decided it.

    `width` is at leading order in 1/N and not rounded; below 1 it means that every width will do.
    """

    width: float
    step: int


@dataclass(frozen=True)
class WideEnough:
    r"""One part of a theory: how wide a network must be, how many an ensemble needs.

    **Fields:** `spread_last`, `spread_worst`: where one network's relative spread $r / \sqrt N$ is the
    tolerance, at the last recorded step and over all of them; `shift_last`, `shift_worst`: the same for the
    relative mean shift $s / N$; None where theory has no variance, no shift, or its value is nowhere
    resolved from zero. `seeds`, for each width asked for, the networks whose mean is known to the tolerance
    at the last step (standard error $r / \sqrt{N\,\mathrm{seeds}}$); None as above.
    """

    label: str
    spread_last: Sufficient | None
    spread_worst: Sufficient | None
    shift_last: Sufficient | None
    shift_worst: Sufficient | None
    seeds: tuple[int | None, ...]


def check_tolerance(tolerance: float) -> float:
    """The tolerance itself.

    **Errors:** `InputError` unless it is a relative deviation that 1/N can be asked for: above 0, at most 1.

    >>> check_tolerance(0.01)
    0.01
    """
    if not 1e-9 <= tolerance <= 1:
        raise InputError(f"`tolerance` = {tolerance:g}: give a relative deviation, such as 0.01 for 1 %")
    return tolerance


def wide_enough(
    theory: xr.Dataset, tolerance: float = TOLERANCE, widths: Sequence[int] = ()
) -> list[WideEnough]:
    r"""For every part of the theory: from which width on its finite-width effects are below `tolerance`.

    Relative spread at width N is $\sqrt{\overline{V} / N}$ over $\sqrt{\overline{v^2}}$, relative shift
    $\sqrt{\overline{s^2}} / N$ over the same: root mean squares over the part's points, outputs or pairs, at
    one step; for a loss simply relative to the loss. Steps at which the infinite-width value is zero up to
    three numerical errors (a centered network at step 0) are left out: nothing is relative to zero.

    **Arguments:** `tolerance`, above 0 and at most 1; `widths`, for which to count seeds.
    **Errors:** `InputError` for another tolerance.
    """
    check_tolerance(tolerance)
    found = []
    for series in theory_series(theory):
        spread, shift = series.relative_spread, series.relative_shift
        by_spread = None if spread is None else (spread / tolerance) ** 2
        by_shift = None if shift is None else shift / tolerance
        last = _last(by_spread, series)
        found.append(
            WideEnough(
                label=series.label,
                spread_last=last,
                spread_worst=_worst(by_spread, series),
                shift_last=_last(by_shift, series),
                shift_worst=_worst(by_shift, series),
                seeds=tuple(None if last is None else max(1, math.ceil(last.width / n)) for n in widths),
            )
        )
    return found


def _last(widths: Float[np.ndarray, "step"] | None, series: TheorySeries) -> Sufficient | None:
    if widths is None or not np.isfinite(widths[-1]):
        return None
    return Sufficient(float(widths[-1]), int(series.steps[-1]))


def _worst(widths: Float[np.ndarray, "step"] | None, series: TheorySeries) -> Sufficient | None:
    if widths is None or not np.isfinite(widths).any():
        return None
    at = int(np.nanargmax(widths))
    return Sufficient(float(widths[at]), int(series.steps[at]))


def relative_distance_terms(theory: xr.Dataset, label: str) -> tuple[float, float] | None:
    r"""(a, b) of a single network's squared relative distance to infinite width, $a/N + b/N^2$.

    Sums over all steps and elements of the part `label`: a = sum V / sum v^2, b = sum shift^2 / sum v^2.
    None if theory has no variance of it, or the infinite-width value is zero.
    """
    for variable in MEASURED:
        if f"{variable}_variance" not in theory:
            continue
        for part in find_parts(theory, variable):
            if part.label != label:
                continue

            def total(name: str, power: int, part=part) -> float:
                if name not in theory:
                    return 0.0
                values = part.elements(theory[name].transpose(*part.dims).to_numpy().astype(np.float64))
                return float(np.nansum(values**power))

            size = total(variable, 2)
            if size <= 0:
                return None
            return total(f"{variable}_variance", 1) / size, total(f"{variable}_shift", 2) / size
    return None


def sufficient_width(theory: xr.Dataset, label: str, tolerance: float) -> float | None:
    """Width from which a typical single network is within `tolerance` of infinite width.

    The distance is relative, a root mean square over steps and elements of the part `label`. Solves a/N +
    b/N^2 = tolerance^2 for N, at leading order; None where theory does not say.
    """
    terms = relative_distance_terms(theory, label)
    if terms is None:
        return None
    a, b = terms
    return (a + math.sqrt(a * a + 4 * b * tolerance**2)) / (2 * tolerance**2)
