"""Measured over predicted: the effects of finite width, of every part, at every width."""

import numpy as np
import xarray as xr

from widthwise.report.figure import Figure, Panel, Trace, marks, plain
from widthwise.report.gather import Gathered
from widthwise.report.words import part_title


def ratio_figure(run: Gathered) -> Figure | None:
    """Measured over predicted: variance and shift of every part, at each width and extrapolated."""
    if run.comparison is None or run.numbers is None:
        return None
    numbers = run.numbers
    labels = [part_title(str(p)) for p in numbers["part"].to_numpy()]
    panels, titles = [], []
    for name, limit, title in (
        ("variance_ratio", "variance_scaling", "N · variance: networks / theory"),
        ("shift_ratio", "shift_scaling", "Mean shift: networks / theory"),
    ):
        if not np.isfinite(numbers[limit].to_numpy()).any():
            continue
        data: list[Trace] = []
        rows = np.arange(len(labels))[::-1].astype(float)
        window = _window(numbers[[f"{limit}_low", f"{limit}_high"]].to_array().to_numpy())
        for index, width in enumerate(run.widths):
            offset = 0.3 - 0.6 * (index + 0.5) / (len(run.widths) + 1)
            one = numbers.sel(width=width)
            data += _ratios(f"N = {width}", f"@w{index}", one, name, rows + offset, window)
        data += _ratios("N → ∞", "@ink", numbers, limit, rows - 0.3, window)
        one_line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": 1, "x1": 1}
        layout = {
            "xaxis": {"title": {"text": "networks / theory"}, "range": window},
            "yaxis": {
                "tickvals": plain(rows),
                "ticktext": [label.replace(", ", "<br>") for label in labels],
                "range": [-0.6, len(labels) - 0.4],
            },
            "shapes": [{**one_line, "line": {"color": "@ink", "width": 1.2, "dash": "dash"}}],
            "hovermode": "closest",
        }
        panels.append(Panel(data, layout))
        titles.append(title)
    if not panels:
        return None
    return Figure(
        id="ratios",
        title="Does theory's size of the effects hold?",
        caption="Each effect of finite width, measured in the networks, over its prediction; bars: 95 % "
        "interval, with an arrow where it leaves the chart. Diamond: extrapolated to infinite width, where "
        "the ratio should be 1 (dashed). Narrow widths may differ by the next order.",
        panels=tuple(titles),
        views=[panels],
        shape="rows",
    )


def _ratios(
    name: str, color: str, numbers: xr.Dataset, variable: str, rows: np.ndarray, window: list[float]
) -> list[Trace]:
    """Ratios with their bars, and arrows at the edges of the window where bars leave it."""
    value, low, high = (numbers[f"{variable}{end}"].to_numpy() for end in ("", "_low", "_high"))
    symbol, size = ("diamond", 9) if color == "@ink" else ("circle", 6)
    template = "%{x:.3g}<extra>" + name + "</extra>"
    bars = (value - low, high - value)
    style = {"symbol": symbol, "size": size}
    found = [marks(name, color, value, rows, bars=bars, along="x", hovertemplate=template, **style)]
    quiet = {"size": 8, "hoverinfo": "skip", "band": "edge", "cliponaxis": False}
    inside = 0.015 * (window[1] - window[0])
    for edge, arrow, gone in (
        (window[0] + inside, "left", low < window[0]),
        (window[1] - inside, "right", high > window[1]),
    ):
        if gone.any():
            x = np.full(int(gone.sum()), edge)
            found.append(marks(name, color, x, rows[gone], symbol=f"triangle-{arrow}", **quiet))
    return found


def _window(spread: np.ndarray) -> list[float]:
    """Around 1, wide enough for the extrapolated intervals of most parts, bounded where noise is large."""
    known = np.abs(spread[np.isfinite(spread)] - 1.0)
    half = float(np.clip(np.quantile(known, 0.8) * 1.15, 0.5, 6.0)) if known.size else 1.0
    return [1.0 - half, 1.0 + half]
