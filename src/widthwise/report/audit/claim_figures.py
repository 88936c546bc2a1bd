"""A figure for each claim: estimates with their intervals beside what is expected, the worst on top."""

import html
import math
from collections.abc import Sequence

import numpy as np

from widthwise.audit import ClaimRow
from widthwise.report.figure import Control, Figure, Panel, Trace, marks
from widthwise.report.words import as_shown, kind_of, title_of, unit_of, where_words

MOST_ROWS = 24
LONGEST_LABEL = 56
ROW_PIXELS = 22
BARS = "Bars: interval of the estimate."
TESTS = (
    "Diamonds: what is expected where scaling is correct; a test forgives what finite width may add to that."
)
DESCRIBED = "Diamonds beside what is described: what the widest networks, or the noise of the seeds, show."
# What a row is drawn as, by what it says.
COLORS = {
    "inconsistent": "@bad",
    "underpowered": "@open",
    "open": "@open",
    "consistent": "@good",
    "described": "@last",
}
SYMBOLS = {
    "inconsistent": "square",
    "underpowered": "square-open",
    "open": "square-open",
    "consistent": "circle",
    "described": "circle",
}


def claim_figure(name: str, claim: str, rows: Sequence[ClaimRow]) -> Figure | None:
    """Estimates with intervals beside what is expected, a line a row, worst on top; None without any.

    Rows of different units are not drawn on one axis: a choice shows those of one, first those of the worst.
    """
    known = [as_shown(row) for row in rows if row.estimate is not None and math.isfinite(row.estimate)]
    if not known:
        return None
    units = {unit_of(row): [r for r in known if unit_of(r) == unit_of(row)] for row in known}
    shown = {unit: mine[:MOST_ROWS] for unit, mine in units.items()}
    failing = sum(row.verdict == "inconsistent" for row in rows)
    tests = sum(row.judges for row in rows)
    caption = _tests(failing, tests)
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


def _tests(failing: int, tests: int) -> str:
    if not tests:
        return "A description: nothing here is tested."
    if tests == 1:
        return "The one test fails." if failing else "The one test does not fail."
    return f"{failing or 'None'} of {tests} tests {'fail' if failing > 1 else 'fails'}."


def _words_of(unit: str) -> str:
    return unit[:1].upper() + unit[1:]


def _panel(unit: str, shown: Sequence[ClaimRow]) -> Panel:
    data = [trace for kind in COLORS if (trace := _estimates(kind, shown)) is not None]
    expected = [(at, row.expected) for at, row in enumerate(shown) if row.expected is not None]
    if expected:
        labels = [html.unescape(label) for label in map(_label, shown)]
        data.append(
            marks(
                "expected",
                "@ink/0.6",
                [value for _, value in expected],
                [at for at, _ in expected],
                symbol="diamond",
                size=10,
                labels=[labels[at] for at, _ in expected],
                hovertemplate="expected %{x:.3g}<extra></extra>",
            )
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
    return marks(
        kind,
        COLORS[kind],
        [float(row.estimate or 0.0) for _, row in mine],
        [at for at, _ in mine],
        symbol=SYMBOLS[kind],
        size=8,
        bars=(np.array([_bars(row)[0] for _, row in mine]), np.array([_bars(row)[1] for _, row in mine])),
        along="x",
        labels=[html.unescape(_label(row)) for _, row in mine],
        text=[_label(row) for _, row in mine],
        hovertemplate="%{text}<br>%{x:.3g}<extra></extra>",
    )


def _bars(row: ClaimRow) -> tuple[float, float]:
    """Lengths below and above the estimate; none where there is no bound."""
    if row.interval is None or row.estimate is None:
        return 0.0, 0.0
    low, high = row.estimate - row.interval[0], row.interval[1] - row.estimate
    return (max(low, 0.0) if math.isfinite(low) else 0.0, max(high, 0.0) if math.isfinite(high) else 0.0)


def _label(row: ClaimRow) -> str:
    """A place as text that Plotly takes for neither markup nor a role of color."""
    words = where_words(row.where)
    return _escaped(f"{words[: LONGEST_LABEL - 1]}…" if len(words) > LONGEST_LABEL else words)


def _escaped(words: str) -> str:
    return html.escape(words, quote=False).replace("@", "&#64;").replace("$", "&#36;")
