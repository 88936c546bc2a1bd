"""Losses of ensembles against their size, at every width: what averaging removes and what only width does."""

import numpy as np

from widthwise.audit.ensemble_curves import EnsembleCurves
from widthwise.report.figure import Control, Figure, Panel, Trace, line, plain, value_axis
from widthwise.report.words import SPLITS

FEWEST_SEEDS = 4  # below which resamples of them give no interval
# What is made equal, as powers of the width; parameters if most are in matrices between hidden layers.
BUDGETS = {"networks n": 0, "neurons n · N": 1, "parameters n · N²": 2}


def ensemble_figure(ensembles: EnsembleCurves) -> Figure:
    """Loss against size at every width, at equal numbers of networks, neurons or parameters."""
    known = [np.array(curve, dtype=float) for curve in ensembles.curves]
    known.append(np.array([ensembles.infinite, ensembles.low, ensembles.high], dtype=float).ravel())
    views = []
    for budget, power in BUDGETS.items():
        data = [trace for index in range(len(ensembles.widths)) for trace in _curve(ensembles, index, power)]
        axis: dict[str, object] = {"title": {"text": budget}, "type": "log"}
        if not power:
            axis["tickvals"] = plain(2.0 ** np.arange(24))
        views.append([Panel(data, {"xaxis": axis, "yaxis": value_axis("mean loss per point", known)})])
    return Figure(
        id="audit-ensembles",
        title="Ensembles or width",
        caption=f"Mean loss per point of ensembles of n networks at step {ensembles.step} on "
        f"{SPLITS.get(ensembles.split, ensembles.split)}; dotted, of infinitely many"
        + (
            " with its interval (bars). What is left between dotted lines whose intervals do not overlap is "
            "the bias of narrower width, which no ensemble removes."
            if _resolved(ensembles)
            else ". What is left between dotted lines is bias of narrower width, which no ensemble removes, "
            f"or the noise of few seeds: below {FEWEST_SEEDS} networks a width it is not known which."
        )
        + " What a curve falls by is variance over initializations.",
        panels=("",),
        views=views,
        controls=(Control("Compare at equal", tuple(BUDGETS)),),
    )


def _resolved(ensembles: EnsembleCurves) -> bool:
    """Whether there are networks enough for intervals."""
    return min(map(len, ensembles.curves)) >= FEWEST_SEEDS


def _curve(ensembles: EnsembleCurves, index: int, power: int) -> list[Trace]:
    """A width's curve with its markers, and its limit as a dotted line that ends in its interval."""
    width, color = ensembles.widths[index], f"@w{index}"
    curve = np.array(ensembles.curves[index], dtype=float)
    x = plain(np.arange(1, len(curve) + 1) * float(width) ** power, digits=12)
    name = f"N = {width}"
    low, limit, high = (
        np.nan if (value := each[index]) is None else float(value)
        for each in (ensembles.low, ensembles.infinite, ensembles.high)
    )
    dots = {"width": 1.4, "dash": "dot", "mode": "lines", "legendgroup": name, "band": "edge"}
    if _resolved(ensembles):
        ends = {"array": plain([np.nan, high - limit]), "arrayminus": plain([np.nan, limit - low])}
        style = {"type": "data", "symmetric": False, "color": color, "thickness": 1.4, "width": 3}
        dots["error_y"] = style | ends
    # Beside each other, so that no interval hides another.
    ends = [float(width) ** power, float(len(curve) * width**power) * 1.05 ** (index + 1)]
    return [
        line(name, color, x, curve, width=1.8, mode="lines+markers", marker={"color": color, "size": 6}),
        line(f"{name}, infinitely many", color, plain(ends), np.full(2, limit), **dots),
    ]
