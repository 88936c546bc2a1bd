"""How wide is wide enough, and how many seeds are many enough, from theory alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Float

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
        last, spread_worst = _last_and_worst(by_spread, series)
        shift_last, shift_worst = _last_and_worst(by_shift, series)
        seeds = tuple(None if last is None else max(1, math.ceil(last.width / n)) for n in widths)
        found.append(WideEnough(series.label, last, spread_worst, shift_last, shift_worst, seeds))
    return found


def _last_and_worst(
    widths: Float[np.ndarray, "step"] | None, series: TheorySeries
) -> tuple[Sufficient | None, Sufficient | None]:
    if widths is None or not np.isfinite(widths).any():
        return None, None
    last, worst = (
        Sufficient(float(widths[at]), int(series.steps[at])) for at in (-1, int(np.nanargmax(widths)))
    )
    return (last if np.isfinite(last.width) else None), worst
