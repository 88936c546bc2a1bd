"""Figures of an audit: for each claim its intervals, and the gaps between widths at each step."""

import html
import math
from collections.abc import Sequence

import numpy as np

from widthwise.audit import ClaimRow
from widthwise.report.audit.files import Audited
from widthwise.report.audit.gaps import Gap, Gaps
from widthwise.report.audit.words import title_of, where_words
from widthwise.report.figure import Control, Figure, Panel, Trace, plain

MOST_ROWS = 24
LONGEST_LABEL = 56
ROW_PIXELS = 22
COLORS = {"inconsistent": "@bad", "underpowered": "@open", "consistent": "@good"}
SYMBOLS = {"inconsistent": "square", "underpowered": "square-open", "consistent": "circle"}


def audit_figures(audited: Audited) -> list[Figure]:
    """The gaps, if they were measured, then a figure a claim, that with the worst row first."""
    rows = audited.audit.rows
    claims = list(dict.fromkeys(row.claim for row in rows))
    found = [] if audited.gaps is None else [gap_figure(audited.gaps)]
    for number, claim in enumerate(claims):
        mine = [row for row in rows if row.claim == claim]
        figure = claim_figure(f"audit-{number}", claim, mine)
        if figure is not None:
            found.append(figure)
    return found


def claim_figure(name: str, claim: str, rows: Sequence[ClaimRow]) -> Figure | None:
    """Estimates with intervals beside what is expected, a line a row, worst on top; None without any."""
    known = [row for row in rows if row.estimate is not None and math.isfinite(row.estimate)]
    shown = known[:MOST_ROWS]
    if not shown:
        return None
    data = [trace for verdict in COLORS if (trace := _estimates(verdict, shown)) is not None]
    expected = [(at, row.expected) for at, row in enumerate(shown) if row.expected is not None]
    if expected:
        labels = [html.unescape(label) for label in map(_label, shown)]
        marker = {"color": "@ink", "size": 10, "symbol": "diamond", "opacity": 0.55}
        data.append(
            {
                **_points("expected", marker),
                "x": plain([value for _, value in expected]),
                "y": [at for at, _ in expected],
                "labels": [labels[at] for at, _ in expected],
                "hovertemplate": "expected %{x:.3g}<extra></extra>",
            }
        )
    layout = {
        "xaxis": {"title": {"text": "estimate"}},
        "yaxis": {
            "tickvals": list(range(len(shown))),
            "ticktext": [_label(row) for row in shown],
            "range": [len(shown) - 0.5, -0.5],
        },
        "hovermode": "closest",
    }
    failing = sum(row.verdict == "inconsistent" for row in rows)
    caption = f"{failing} of {len(rows)} tests fail." if failing else f"None of {len(rows)} tests fails."
    if len(known) > len(shown):
        caption += f" The worst {len(shown)} are drawn."
    return Figure(
        id=name,
        title=title_of(claim),
        caption=f"{caption} Bars: interval of the estimate. Diamonds: what is expected of networks that "
        "scale consistently; what finite width may add to it is forgiven.",
        panels=("",),
        views=[[Panel(data, layout)]],
        height=110 + ROW_PIXELS * len(shown),
    )


def gap_figure(gaps: Gaps) -> Figure:
    """Distance to the widest networks against width, at the step that a slider chooses."""
    widths = np.array(gaps.widths, dtype=float)
    shown = gaps.gaps[:3]
    views = []
    for column in range(len(gaps.steps)):
        views.append([_gap_panel(gap, widths, column) for gap in shown])
    return Figure(
        id="audit-gaps",
        title=f"Gaps to the widest networks, N = {gaps.widths[-1]}",
        caption="Relative to the widest networks' mean. Predictions: root mean square distance of the mean "
        "over seeds, with what the noise of the means adds taken away, and zero where it lies below that "
        "noise (dotted). Losses: difference of the means, with two standard errors. One network: typical "
        "distance of a single network, of which ensembling removes what lies above the means.",
        panels=tuple(gap.quantity.capitalize() for gap in shown),
        views=views,
        controls=(Control("Step", tuple(map(str, gaps.steps)), kind="range", initial=len(gaps.steps) - 1),),
        axes={"width": widths},
    )


def _gap_panel(gap: Gap, widths: np.ndarray, column: int) -> Panel:
    means, noise, single = ([row[column] for row in rows] for rows in (gap.gap, gap.noise, gap.single))
    signed = gap.quantity != "prediction"
    data: list[Trace] = [_series("one network", "@first", "square", single)]
    if not signed:
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "noise of the means",
                "legendgroup": "noise of the means",
                "x": "width",
                "y": noise,
                "line": {"color": "@muted", "width": 1.4, "dash": "dot"},
            }
        )
    mean = _series("mean over seeds", "@last", "circle", means)
    if signed:
        errors = [None if each is None else 2 * each for each in noise]
        mean["error_y"] = {"type": "data", "array": errors, "color": "@last", "thickness": 1.4, "width": 3}
    data.append(mean)
    layout: dict[str, object] = {
        "xaxis": {"title": {"text": "width N"}, "type": "log", "tickvals": plain(widths)},
        "yaxis": {"title": {"text": "relative gap"}, "range": _range(gap, signed=signed)},
    }
    return Panel(data, layout)


def _series(name: str, color: str, symbol: str, values: list[float | int | None]) -> Trace:
    marker = {"color": color, "size": 9, "symbol": symbol}
    return {**_points(name, marker), "x": "width", "y": values}


def _points(name: str, marker: dict[str, object]) -> Trace:
    return {"type": "scatter", "mode": "markers", "name": name, "legendgroup": name, "marker": marker}


def _range(gap: Gap, *, signed: bool) -> list[float]:
    """The same at all steps, so that moving the slider shows growth."""
    tables = np.array([gap.gap, gap.single], dtype=float)
    if signed:
        error = 2 * np.array(gap.noise, dtype=float)
        tables = np.stack([*tables, tables[0] - error, tables[0] + error])
    finite = tables[np.isfinite(tables)]
    high = float(finite.max(initial=0.0))
    low = float(finite.min(initial=0.0)) if signed else 0.0
    room = 0.08 * ((high - low) or 1.0)
    return [low - room, high + room]


def _estimates(verdict: str, shown: Sequence[ClaimRow]) -> Trace | None:
    mine = [(at, row) for at, row in enumerate(shown) if row.verdict == verdict]
    if not mine:
        return None
    color = COLORS[verdict]
    bars = [_bars(row) for _, row in mine]
    return {
        **_points(verdict, {"color": color, "size": 8, "symbol": SYMBOLS[verdict]}),
        "x": plain([float(row.estimate or 0.0) for _, row in mine]),
        "y": [at for at, _ in mine],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": plain([high for _, high in bars]),
            "arrayminus": plain([low for low, _ in bars]),
            "color": color,
            "thickness": 1.6,
            "width": 4,
        },
        "labels": [html.unescape(_label(row)) for _, row in mine],
        "text": [_label(row) for _, row in mine],
        "hovertemplate": "%{text}<br>%{x:.3g}<extra></extra>",
    }


def _bars(row: ClaimRow) -> tuple[float, float]:
    """Lengths below and above the estimate; none where there is no bound."""
    if row.interval is None or row.estimate is None:
        return 0.0, 0.0
    low, high = row.estimate - row.interval[0], row.interval[1] - row.estimate
    return (max(low, 0.0) if math.isfinite(low) else 0.0, max(high, 0.0) if math.isfinite(high) else 0.0)


def _label(row: ClaimRow) -> str:
    """A place as text that Plotly takes for neither markup nor a role of color."""
    words = where_words({key: value for key, value in row.where.items() if key != "unit"})
    if len(words) > LONGEST_LABEL:
        words = f"{words[: LONGEST_LABEL - 1]}…"
    return html.escape(words, quote=False).replace("@", "&#64;").replace("$", "&#36;")
