"""Figures as plain data: what the page's script draws with Plotly, with colors by role instead of by
value."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

MOST_STEPS = 160
FEW_STEPS = 12
DIGITS = 4
Trace = dict[str, object]


@dataclass(frozen=True)
class Control:
    """A choice that the reader makes: a drop-down "select" or a "range" slider over `options`."""

    label: str
    options: tuple[str, ...]
    kind: str = "select"
    initial: int = 0


@dataclass(frozen=True)
class Panel:
    """One set of axes in one state of the controls.

    `reference`, a curve that the reader may subtract from all others: its axis and its values.
    """

    data: list[Trace]
    layout: dict[str, object] = field(default_factory=dict)
    reference: tuple[str, list[float | int | None]] | None = None


@dataclass(frozen=True)
class Figure:
    """A figure of one or more panels side by side.

    **Fields:** `views`, the panels for every combination of the controls' options, the last control fastest;
    `axes`, shared abscissas that traces name in place of repeating them; `reference`, what the panels'
    reference curves are, for the switch that subtracts them; `height` of a panel in pixels, 0 for the page's.
    """

    id: str
    title: str
    caption: str
    panels: tuple[str, ...]
    views: list[list[Panel]]
    controls: tuple[Control, ...] = ()
    axes: Mapping[str, np.ndarray] = field(default_factory=dict)
    shape: str = "lines"
    reference: str = ""
    height: int = 0

    def to_json(self) -> dict[str, object]:
        """Plain data for the page."""
        names = ("id", "title", "panels", "shape", "controls", "reference", "views")
        content: dict[str, object] = {name: getattr(self, name) for name in names}
        return content | {"axes": {name: plain(values) for name, values in self.axes.items()}}


def plain(
    values: Iterable[float | int | None] | np.ndarray, digits: int = DIGITS
) -> list[float | int | None]:
    """Numbers rounded to `digits` significant ones; what is not finite becomes null.

    >>> plain([1.23456, float("nan"), 200000])
    [1.235, None, 200000]
    """
    return [_plain(float(v), digits) for v in np.asarray(values, dtype=np.float64).ravel()]


def _plain(value: float, digits: int) -> float | int | None:
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    if not math.isfinite(rounded):
        return value
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def chosen_steps(steps: np.ndarray, most: int = MOST_STEPS) -> np.ndarray:
    """Positions of at most `most` of the steps, evenly spaced, first and last among them."""
    return np.unique(np.rint(np.linspace(0, len(steps) - 1, min(most, len(steps)))).astype(int))


def step_axis(steps: np.ndarray) -> dict[str, object]:
    """Layout of the abscissa; logarithmic where steps were recorded so."""
    gaps = np.diff(steps)
    spread = len(gaps) > 4 and gaps.max() > 8 * max(gaps.min(), 1)
    return {"title": {"text": "step"}, "type": "log" if spread else "linear"}


def line(name: str, color: str, x: str | list, y: np.ndarray, **style: object) -> Trace:
    """A curve, with markers where it has few points; `color` is a role such as "@ink" or "@w0", optionally
    with an opacity, "@w0/0.3"."""
    width, dash = style.pop("width", 2), style.pop("dash", "solid")
    few = len(y) <= FEW_STEPS and "mode" not in style
    points = {"mode": "lines+markers", "marker": {"color": color, "size": 5}} if few else {}
    pen = {"color": color, "width": width, "dash": dash}
    return _scatter(name, "lines", x, y, line=pen) | points | style


def marks(
    name: str,
    color: str,
    x: str | Sequence[float | int] | np.ndarray,
    y: Sequence[float | int | None] | np.ndarray,
    *,
    symbol: str = "circle",
    size: int = 9,
    bars: tuple[np.ndarray, np.ndarray] | None = None,
    along: str = "y",
    **style: object,
) -> Trace:
    """Points, perhaps with error bars `along` an axis: their lengths below and above each, none where a
    length is not finite."""
    at = x if isinstance(x, str) else plain(x)
    trace = _scatter(name, "markers", at, y, marker={"color": color, "size": size, "symbol": symbol})
    if bars is not None:
        below, above = (plain(np.nan_to_num(np.maximum(each, 0.0), posinf=0.0)) for each in bars)
        ends = {"array": above, "arrayminus": below, "color": color, "thickness": 1.4, "width": 3}
        trace[f"error_{along}"] = {"type": "data", "symmetric": False, **ends}
    return trace | style


def band(name: str, color: str, x: str | list, low: np.ndarray, high: np.ndarray) -> list[Trace]:
    """The area between two curves, in the legend group of the curve `name`."""
    edge: Trace = {"line": {"width": 0, "color": color}, "band": "edge", "hoverinfo": "skip"}
    fill: Trace = {"fill": "tonexty", "fillcolor": color}
    return [_scatter(name, "lines", x, low) | edge, _scatter(name, "lines", x, high) | edge | fill]


def _scatter(name: str, mode: str, x: str | list, y: Sequence | np.ndarray, **style: object) -> Trace:
    group: Trace = {"name": name, "legendgroup": name}
    return {"type": "scatter", "mode": mode, **group, "x": x, "y": plain(y), **style}


def value_axis(title: str, values: Iterable[np.ndarray | None]) -> dict[str, object]:
    """Layout of the ordinate: logarithmic where positive values span more than a factor of thirty."""
    known = [v[np.isfinite(v)] for v in values if v is not None]
    every = np.concatenate(known) if known else np.zeros(0)
    wide = every.size > 0 and every.min() > 0 and every.max() > 30 * every.min()
    axis: dict[str, object] = {"title": {"text": title}, "type": "log" if wide else "linear"}
    return axis | (log_ticks(every.min(), every.max()) if wide else {})


def log_ticks(low: float, high: float) -> dict[str, object]:
    """Layout of a logarithmic axis: a tick a decade over two decades or more, else at 1, 2 and 5 of each."""
    return {"exponentformat": "power", "dtick": 1 if high > 100 * low else "D2"}
