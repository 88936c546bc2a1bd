"""A figure for each claim: estimates with their intervals beside what is expected, the worst on top."""

import html
import math
from collections.abc import Sequence

from widthwise.audit import ClaimRow
from widthwise.report.audit.words import kind_of, title_of, where_words
from widthwise.report.figure import Control, Figure, Panel, Trace, plain

MOST_ROWS = 24
LONGEST_LABEL = 56
ROW_PIXELS = 22
BARS = "Bars: interval of the estimate."
TESTS = "Diamonds: what is expected where scaling is correct; what finite width may add is forgiven."
DESCRIBED = "Diamonds beside descriptions: what the widest networks, or the noise of the seeds, show."
UNITS = {name: "exponent of the width" for name in ("scales", "richness", "variance_scaling")}
# What a row is drawn as, by what it says.
COLORS = {"inconsistent": "@bad", "underpowered": "@open", "consistent": "@good", "described": "@last"}
SYMBOLS = {
    "inconsistent": "square",
    "underpowered": "square-open",
    "consistent": "circle",
    "described": "circle",
}


def claim_figure(name: str, claim: str, rows: Sequence[ClaimRow]) -> Figure | None:
    """Estimates with intervals beside what is expected, a line a row, worst on top; None without any.

    Rows of different units are not drawn on one axis: a choice shows those of one, first those of the worst.
    """
    known = [row for row in rows if row.estimate is not None and math.isfinite(row.estimate)]
    if not known:
        return None
    units = {unit_of(row): [r for r in known if unit_of(r) == unit_of(row)] for row in known}
    shown = {unit: mine[:MOST_ROWS] for unit, mine in units.items()}
    failing = sum(row.verdict == "inconsistent" for row in rows)
    tests = sum(row.judges for row in rows)
    caption = f"{failing} of {tests} tests fail." if failing else f"None of {tests} tests fails."
    caption = caption if tests else "A description: nothing here is tested."
    if any(len(units[unit]) > len(shown[unit]) for unit in units):
        caption += f" The worst {MOST_ROWS} are drawn."
    choice = Control("Show", tuple(_words_of(unit) for unit in units))
    return Figure(
        id=name,
        title=title_of(claim),
        caption=" ".join(
            [caption, BARS, *([TESTS] if tests else []), *([DESCRIBED] if tests < len(rows) else [])]
        ),
        panels=("",),
        views=[[_panel(unit, mine)] for unit, mine in shown.items()],
        controls=(choice,) if len(units) > 1 else (),
        height=110 + ROW_PIXELS * max(map(len, shown.values())),
    )


def unit_of(row: ClaimRow) -> str:
    """What an estimate is measured in."""
    return str(row.where.get("unit", UNITS.get(row.claim, "estimate")))


def _words_of(unit: str) -> str:
    return unit[:1].upper() + unit[1:]


def _panel(unit: str, shown: Sequence[ClaimRow]) -> Panel:
    data = [trace for kind in COLORS if (trace := _estimates(kind, shown)) is not None]
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
    layout: dict[str, object] = {
        "xaxis": {"title": {"text": _escaped(unit)}},
        "yaxis": {
            "tickvals": list(range(len(shown))),
            "ticktext": [_label(row) for row in shown],
            "range": [len(shown) - 0.5, -0.5],
        },
        "hovermode": "closest",
    }
    return Panel(data, layout)


def _estimates(kind: str, shown: Sequence[ClaimRow]) -> Trace | None:
    mine = [(at, row) for at, row in enumerate(shown) if kind_of(row) == kind]
    if not mine:
        return None
    color = COLORS[kind]
    bars = [_bars(row) for _, row in mine]
    return {
        **_points(kind, {"color": color, "size": 8, "symbol": SYMBOLS[kind]}),
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


def _points(name: str, marker: dict[str, object]) -> Trace:
    return {"type": "scatter", "mode": "markers", "name": name, "legendgroup": name, "marker": marker}


def _bars(row: ClaimRow) -> tuple[float, float]:
    """Lengths below and above the estimate; none where there is no bound."""
    if row.interval is None or row.estimate is None:
        return 0.0, 0.0
    low, high = row.estimate - row.interval[0], row.interval[1] - row.estimate
    return (max(low, 0.0) if math.isfinite(low) else 0.0, max(high, 0.0) if math.isfinite(high) else 0.0)


def _label(row: ClaimRow) -> str:
    """A place as text that Plotly takes for neither markup nor a role of color."""
    words = where_words({key: value for key, value in row.where.items() if key != "unit"})
    return _escaped(f"{words[: LONGEST_LABEL - 1]}…" if len(words) > LONGEST_LABEL else words)


def _escaped(words: str) -> str:
    return html.escape(words, quote=False).replace("@", "&#64;").replace("$", "&#36;")
