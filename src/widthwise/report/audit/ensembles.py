"""Losses of ensembles against their size, at every width: what averaging removes and what only width does."""

import numpy as np

from widthwise.audit.ensemble_curves import EnsembleCurves
from widthwise.report.figure import Control, Figure, Panel, Trace, plain, value_axis

# What is made equal, as powers of the width; parameters if most are in matrices between hidden layers.
BUDGETS = {"networks n": 0, "neurons n N": 1, "parameters n N²": 2}


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
        views.append([Panel(data, {"xaxis": axis, "yaxis": value_axis("loss a point", known)})])
    return Figure(
        id="audit-ensembles",
        title="Ensembles or width",
        caption=f"Mean loss a point of ensembles of n networks at step {ensembles.step} on "
        f"{ensembles.split} points; dotted, of infinitely many. What a curve falls by is variance over "
        "initializations; what is left between the dotted lines is the bias of narrower width, "
        "which no ensemble removes.",
        panels=("",),
        views=views,
        controls=(Control("Compare at equal", tuple(BUDGETS)),),
    )


def _curve(ensembles: EnsembleCurves, index: int, power: int) -> list[Trace]:
    """A width's curve with its markers, and its limit as a dotted line of the same length."""
    width, color = ensembles.widths[index], f"@w{index}"
    curve, limit = ensembles.curves[index], ensembles.infinite[index]
    x = plain(np.arange(1, len(curve) + 1) * float(width) ** power, digits=12)
    name = f"N = {width}"
    return [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "legendgroup": name,
            "x": x,
            "y": curve,
            "line": {"color": color, "width": 1.8, "dash": "solid"},
            "marker": {"color": color, "size": 6, "symbol": "circle"},
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"{name}, infinitely many",
            "legendgroup": name,
            "band": "edge",
            "x": [x[0], x[-1]],
            "y": [limit, limit],
            "line": {"color": color, "width": 1.4, "dash": "dot"},
        },
    ]
