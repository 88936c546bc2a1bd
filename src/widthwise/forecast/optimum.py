"""Does the best learning rate, or other setting, move with width; what is lost by using a narrow one's."""

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr
from jaxtyping import Float

from widthwise.analysis.estimate import Estimate
from widthwise.analysis.fits import combine
from widthwise.analysis.optimum import require_values
from widthwise.forecast.backtest import LEVEL
from widthwise.wording import percent

NEAR = 2  # values on each side of the best that the parabola is fitted to
TOLERANCE = 0.005  # of the loss, that may be lost
NOTABLE = math.log(1.25)
FEWEST = 3


def optimum_drift(sweep: xr.Dataset, *, target: int) -> dict[str, object]:
    r"""The optimum by width, its drift, and the regret of the narrowest width's at the target.

    At each width a parabola in the logarithm of the value is fitted to the mean losses of the best value and
    its neighbors, two on each side; the error of its vertex is the jackknife's over seeds. Over widths
    $\eta^*(N) = \eta^*_\infty + c / N$, by least squares, with Welch's degrees of freedom. The regret is
    $\kappa / 2\, (\log \eta^*(N_0) - \log \eta^*(N))^2$ with the curvature of the widest width.

    **Arguments:** `sweep`, `loss` (value, width, seed) with positive values, ascending; a value at which any
    network of a width diverged does not count there.
    **Returns:** plain data: by width `optimum`, `low`, `high` (95 %) and `at_end`, where the best value is
    the first or last; `infinite`, `drift` (c), `target_optimum`, with `_low` and `_high`; `regret`, relative
    to the loss, with `_low`, `_high`; `verdict`, "transfers" if at most 0.5 % can be lost, "drifts" if more
    is, or if c is not zero and moves the optimum by a quarter, else "undecided"; `advice`.
    **Errors:** `InputError` for values that make no sweep.
    """
    values = sweep["value"].to_numpy().astype(float)
    require_values(values)
    widths = sweep["width"].to_numpy().astype(float)
    losses = sweep["loss"].transpose("width", "value", "seed").to_numpy().astype(float)
    tops = [_vertex(np.log(values), one) for one in losses]
    found: dict[str, object] = {
        "values": values.tolist(),
        "widths": widths.astype(int).tolist(),
        "target": target,
    }
    edges = [top.estimate.interval(1 - LEVEL) if top else (math.nan, math.nan) for top in tops]
    found["optimum"] = [math.exp(top.estimate.value) if top else None for top in tops]
    found["low"], found["high"] = ([math.exp(edge[side]) for edge in edges] for side in (0, 1))
    means = np.where(np.isfinite(losses), losses, np.inf).mean(axis=2)
    found["at_end"] = [bool(np.argmin(one) in (0, len(values) - 1)) for one in means]
    usable = [at for at, top in enumerate(tops) if top is not None and math.isfinite(top.estimate.error)]
    if len(usable) < FEWEST:
        return _finite(found | _undecided(found, len(usable)))
    kept = [tops[at] for at in usable]
    n = widths[usable]
    return _finite(found | _drift(n, [top for top in kept if top is not None], target))


class _Top:
    """The vertex of a parabola: log value, with its error; the loss there, and the curvature."""

    def __init__(self, estimate: Estimate, loss: float, curvature: float):
        self.estimate, self.loss, self.curvature = estimate, loss, curvature


def _vertex(x: Float[np.ndarray, " value"], losses: Float[np.ndarray, "value seed"]) -> _Top | None:
    """None where the best value is at an end, or the losses bend the wrong way."""
    losses = losses[:, np.isfinite(losses).any(axis=0)]
    means = np.where(np.isfinite(losses).all(axis=1), losses.mean(axis=1), np.inf)
    if losses.shape[1] < 2 or not np.isfinite(means).any():
        return None
    best = int(np.argmin(means))
    near = np.arange(max(0, best - NEAR), min(len(x), best + NEAR + 1))
    near = near[np.isfinite(means[near])]
    if best in (near[0], near[-1]) or len(near) < 3:
        return None
    center = x[best]
    fit = np.linalg.pinv(np.vander(x[near] - center, 3))
    second, first, level = fit @ means[near]
    if second <= 0:
        return None
    count = losses.shape[1]
    less = (losses[near].sum(axis=1, keepdims=True) - losses[near]) / (count - 1)
    a, b, _ = fit @ less
    tops = np.where(a > 0, -b / np.where(a > 0, 2 * a, 1.0), math.nan)
    if not np.isfinite(tops).all():
        return None
    error = math.sqrt((count - 1) / count * float(np.sum((tops - tops.mean()) ** 2)))
    top = -first / (2 * second)
    estimate = Estimate(float(center + top), max(error, 1e-12), float(count - 1))
    return _Top(estimate, float(level - first**2 / (4 * second)), float(2 * second))


def _drift(n: Float[np.ndarray, " width"], tops: list[_Top], target: int) -> dict[str, object]:
    """c, infinite width and the target, by least squares; and what they mean."""
    rows = np.linalg.pinv(np.stack([np.ones(len(n)), 1 / n], axis=1))
    measured = [
        Estimate(math.exp(e.value), math.exp(e.value) * e.error, e.dof)
        for e in (top.estimate for top in tops)
    ]
    infinite, drift = (combine(row, measured) for row in rows)
    # The difference of logarithms between the narrowest width and the target, both as fitted.
    there = combine(rows[0] + rows[1] / target, measured)
    here = combine(rows[0] + rows[1] / n[0], measured)
    positive = min(estimate.value for estimate in (there, here)) > 0
    safe = there.value if positive else min(m.value for m in measured)
    slope = (rows[0] + rows[1] / target) / safe - (rows[0] + rows[1] / n[0]) / max(here.value, 1e-300)
    moved = combine(slope, measured)
    away = math.log(safe / max(here.value, 1e-300))
    low, high = (away - moved.value + edge for edge in moved.interval(1 - LEVEL))
    bend = tops[-1].curvature / 2 / max(abs(tops[-1].loss), 1e-300)
    regret, most = bend * away**2, bend * max(low**2, high**2)
    least = 0.0 if low <= 0 <= high else bend * min(low**2, high**2)
    found: dict[str, object] = {
        "target_optimum": there.value,
        "infinite": infinite.value,
        "drift": drift.value,
    }
    for name, estimate in (("target_optimum", there), ("infinite", infinite), ("drift", drift)):
        found[f"{name}_low"], found[f"{name}_high"] = estimate.interval(1 - LEVEL)
    edges = drift.interval(1 - LEVEL)
    moves = not edges[0] <= 0 <= edges[1] and abs(away) > NOTABLE
    verdict = "transfers" if most <= TOLERANCE else "drifts" if least > TOLERANCE or moves else "undecided"
    lost = f"{percent(regret, 2)} of the loss ({percent(least, 2)} to {percent(most, 2)})"
    words = f"The optimum of width {n[0]:,.0f}, {measured[0].value:.3g}, loses {lost} at width {target:,}"
    more = {
        "transfers": "use it there",
        "drifts": f"tune at wider networks, or use {safe:.3g}",
        "undecided": f"twice the seeds at the widths {n[0]:,.0f} and {n[-1]:,.0f} tell most",
    }
    return found | {
        "regret": regret,
        "regret_low": least,
        "regret_high": most,
        "verdict": verdict,
        "advice": f"{words}: {more[verdict]}.",
    }


def _undecided(found: Mapping[str, object], usable: int) -> dict[str, object]:
    ends = [w for w, end in zip(found["widths"], found["at_end"], strict=True) if end]  # pyright: ignore[reportArgumentType]
    why = f"{usable} width{'s' if usable != 1 else ''} with an optimum between the values: it takes {FEWEST}"
    more = (
        f"; try values beyond the ends at {', '.join(map(str, ends))}"
        if ends
        else "; train two seeds or more"
    )
    return {"verdict": "undecided", "advice": f"{why}{more}."}


def _finite(found: dict[str, object]) -> dict[str, object]:
    """None in place of numbers that JSON cannot hold."""

    def plain(value: object) -> object:
        if isinstance(value, list):
            return [plain(each) for each in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return {name: plain(value) for name, value in found.items()}
