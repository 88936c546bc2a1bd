"""Coordinate-check curves: what must be flat against width is seen at a glance."""

import numpy as np

from widthwise.audit.coordinate_check import CoordinateCheck
from widthwise.report.figure import Control, Figure, Panel, line, plain, value_axis

TITLES = {
    "forward_rms": "activations",
    "forward_change_rms": "change of activations",
    "update_effect_rms": "effect of an update",
}


def coordinate_figure(check: CoordinateCheck) -> Figure:
    """Root mean square against width, a line a recorded step, for the layer or tensor that is chosen."""
    widths, names = np.array(check.widths, dtype=float), _names(check)
    views = [[_panel(check, quantity, name, widths)] for quantity, name in names]
    return Figure(
        id="audit-coordinates",
        title="Coordinate check",
        caption="Root mean square, geometric mean over seeds, against width at steps early in training: of "
        "each layer's activations, of their change since initialization, and of what one update changes at "
        "its tensor's output. Where scaling is right lines are flat, but for what narrow networks miss of it "
        "and for what starts at N^-1/2 and is overtaken by learning (read-outs, queries, keys).",
        panels=("",),
        views=views,
        controls=(Control("Show", tuple(f"{TITLES[quantity]}: {name}" for quantity, name in names)),),
        axes={"width": widths},
    )


def _names(check: CoordinateCheck) -> list[tuple[str, str]]:
    """What learning does first."""
    order = ("update_effect_rms", "forward_change_rms", "forward_rms")
    return [(q, curve.name) for q in order for curve in check.curves if curve.quantity == q]


def _panel(check: CoordinateCheck, quantity: str, name: str, widths: np.ndarray) -> Panel:
    curves = next(c for c in check.curves if (c.quantity, c.name) == (quantity, name))
    values = np.array(curves.values, dtype=float)
    data = [
        line(f"step {step}", f"@w{index}", "width", row, mode="lines+markers")
        for index, (step, row) in enumerate(zip(check.steps, values, strict=True))
        if np.isfinite(row).any()
    ]
    spread = [row[np.isfinite(row)] for row in values]
    axis = value_axis(f"RMS of {TITLES[quantity]}", spread) | {"type": "log"}
    return Panel(
        data,
        {"xaxis": {"title": {"text": "width N"}, "type": "log", "tickvals": plain(widths)}, "yaxis": axis},
    )
