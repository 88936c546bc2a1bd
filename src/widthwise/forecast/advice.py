"""One sentence: which of the trained widths foretell the wide one, how well, and until when."""

import numpy as np

from widthwise.forecast.backtest import FEWEST, LEVEL
from widthwise.forecast.design import designs, half_width
from widthwise.forecast.law import Law, fit_law
from widthwise.wording import percent

EDGES = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


def advise(law: Law, target: float, tolerance: float, factor: np.ndarray) -> str:
    """The narrowest trained width from which the loss at the target is foretold within the tolerance, with
    the seeds there are, until which step; what of the distance of that width's own loss is bias; and, where
    none is enough at the last step, which networks would decide it, cheapest first.

    **Arguments:** `factor`, by which intervals are widened at each step.
    """
    curves = law.curves
    least = FEWEST if law.noise.from_seeds else FEWEST + 1
    found = None
    for used in range(least, len(curves.widths) + 1):
        part = law if used == len(curves.widths) else fit_law(curves.first(used))
        told = part.at(target, float(np.median(curves.seeds))).widened(factor)
        low, high = (told.quantile(edge) for edge in EDGES)
        half = (high - low) / 2 / np.abs(told.quantile(0.5)).clip(1e-300)
        good = np.flatnonzero(half <= tolerance)
        found = (used, good, half)
        if len(good) and good[-1] == len(half) - 1:
            break
    assert found is not None
    used, good, half = found
    width, seeds = curves.widths[used - 1], int(np.median(curves.seeds))
    name = f"{target:,.0f}"
    networks = f"widths up to {width:,.0f} and {seeds} seed{'s' if seeds > 1 else ''}"
    if len(good) and good[-1] == len(half) - 1:
        within = f"within {percent(tolerance)} until step {curves.steps[-1]:,.0f}"
        words = f"Use {networks}: they foretell the loss at {name} {within}."
        return f"{words} {_bias(law, used - 1, target)}"
    until = ""
    if len(good):
        until = f"within {percent(tolerance)} until step {curves.steps[good[-1]]:,.0f}, and "
    words = f"From {networks} the loss at {name} is foretold {until}within {percent(half[-1], 2)} at the end."
    return f"{words} {_bias(law, used - 1, target)} {what_would_decide(law, target, tolerance)}".strip()


def _bias(law: Law, at: int, target: float) -> str:
    """How far the width itself is from the target, and what of it more seeds would not remove."""
    curves = law.curves
    mean = float(curves.means[at, -1])
    gap = mean - float(law.at(target, np.inf).last.quantile(0.5)[0])
    relative = law.noise.relative(curves.widths[at : at + 1], float(curves.widths[0]))[-1, 0]
    noise = float(law.noise.variance[-1] * relative / curves.seeds[at])
    share = max(gap**2 - noise, 0.0) / max(gap**2, noise, 1e-300)
    far = percent(abs(gap) / max(abs(mean), 1e-300), 2)
    itself = f"Width {curves.widths[at]:,.0f} itself is {far} away"
    return f"{itself}, of which {percent(share, 2)} is bias that no seeds remove."


def what_would_decide(law: Law, target: float, tolerance: float) -> str:
    """The cheapest further networks whose expected interval is within the tolerance; else the best."""
    every = designs(law, target)
    enough = [design for design in every if design.half <= tolerance]
    if enough:
        chosen = enough[0]
        cost = f"{chosen.cost:.1e} operations"
        return f"Cheapest to decide it: {chosen} ({cost}), ±{percent(chosen.half, 2)} is expected."
    best = min(every, key=lambda design: design.half)
    if best.half >= half_width(law, target):
        return ""
    return (
        f"No few networks more decide it; the most is told by {best}: ±{percent(best.half, 2)} is expected."
    )
