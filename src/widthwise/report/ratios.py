"""Measured over predicted: the effects of finite width, of every part, at every width."""

import numpy as np
import xarray as xr

from widthwise.report.figure import Figure, Panel, Trace, plain
from widthwise.report.gather import Gathered
from widthwise.report.headline import part_title


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
        count = len(run.widths)
        for index, width in enumerate(run.widths):
            one = numbers.sel(width=width)
            offset = 0.3 - 0.6 * (index + 0.5) / (count + 1)
            data.append(_ratios(f"N = {width}", f"@w{index}", one, name, rows + offset))
        data.append(_ratios("N → ∞", "@ink", numbers, limit, rows - 0.3, symbol="diamond", size=9))
        spread = numbers[[f"{limit}_low", f"{limit}_high"]].to_array().to_numpy()
        one_line = {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": 1, "x1": 1}
        layout = {
            "xaxis": {"title": {"text": "measured / predicted"}, "range": _window(spread)},
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
        "interval. Diamond: extrapolated to infinite width, where the ratio should be 1 (dashed). Narrow "
        "widths may differ by the next order.",
        panels=tuple(titles),
        views=[panels],
        shape="rows",
    )


def _ratios(
    name: str,
    color: str,
    numbers: xr.Dataset,
    variable: str,
    rows: np.ndarray,
    *,
    symbol: str = "circle",
    size: int = 6,
) -> Trace:
    value, low, high = (numbers[f"{variable}{end}"].to_numpy() for end in ("", "_low", "_high"))
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "legendgroup": name,
        "x": plain(value),
        "y": plain(rows),
        "marker": {"color": color, "size": size, "symbol": symbol},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": plain(high - value),
            "arrayminus": plain(value - low),
            "color": color,
            "thickness": 1.4,
            "width": 0,
        },
        "hovertemplate": "%{x:.3g}<extra>" + name + "</extra>",
    }


def _window(spread: np.ndarray) -> list[float]:
    """Around 1, wide enough for the extrapolated intervals of most parts, bounded where noise is large."""
    known = np.abs(spread[np.isfinite(spread)] - 1.0)
    half = float(np.clip(np.quantile(known, 0.8) * 1.15, 0.5, 6.0)) if known.size else 1.0
    return [1.0 - half, 1.0 + half]
