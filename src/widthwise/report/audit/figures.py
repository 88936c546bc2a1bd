"""Figures of an audit: gaps between widths at each step, ensembles, and each claim's intervals."""

from collections.abc import Sequence

import numpy as np

from widthwise.audit import ClaimRow
from widthwise.audit.gap_series import Gap, Gaps
from widthwise.report.audit.claim_figures import claim_figure
from widthwise.report.audit.ensembles import ensemble_figure
from widthwise.report.audit.verdict_file import Audited
from widthwise.report.figure import Control, Figure, Panel, Trace, line, marks, plain
from widthwise.report.words import SPLITS, part_title

SIZES = ("the loss now", "the initial loss")
LARGEST_ZOOM = 8.0  # over which an ordinate shared by all steps would hide a step


def audit_figures(audited: Audited, rows: Sequence[ClaimRow] | None = None) -> list[Figure]:
    """The gaps and the ensembles, if they were measured, then a figure a claim of `rows`, all if None; that
    with the worst row first."""
    rows = audited.audit.rows if rows is None else rows
    claims = list(dict.fromkeys(row.claim for row in rows))
    found = [] if audited.audit.gaps is None else [gap_figure(audited.audit.gaps)]
    if audited.audit.ensembles is not None:
        found.append(ensemble_figure(audited.audit.ensembles))
    for number, claim in enumerate(claims):
        mine = [row for row in rows if row.claim == claim]
        figure = claim_figure(f"audit-{number}", claim, mine)
        if figure is not None:
            found.append(figure)
    return found


def gap_figure(gaps: Gaps) -> Figure:
    """Distance to the widest networks against width, at the step that a slider chooses."""
    widths = np.array(gaps.widths, dtype=float)
    shown = gaps.gaps[:3]
    slider = Control("Step", tuple(map(str, gaps.steps)), kind="range", initial=len(gaps.steps) - 1)
    scales = [np.ones((len(shown), len(gaps.steps)))]
    if any(_has_initial(gap) for gap in shown):
        scales.append(np.array([_over_initial(gap) for gap in shown]))
    views = [
        [_gap_panel(gap, widths, column, scale) for gap, scale in zip(shown, table, strict=True)]
        for table in scales
        for column in range(len(gaps.steps))
    ]
    choice = (Control("Losses relative to", SIZES),) if len(scales) > 1 else ()
    return Figure(
        id="audit-gaps",
        title=f"Gaps to the widest networks, N = {gaps.widths[-1]}",
        caption="A gap is the distance of networks of width N to the widest networks, relative to the "
        "widest's mean (of losses also to its initial value, which ranks tasks differently). Predictions: "
        "root mean square distance between means over seeds, less what the noise of these means adds, and "
        "zero where it lies below that noise (dotted). Losses: difference of the means, with two standard "
        "errors. One network: typical distance of a single network; averaging networks removes what lies "
        "above the means.",
        panels=tuple(_titles(gap) for gap in shown),
        views=views,
        controls=(*choice, slider),
        axes={"width": widths},
    )


def _titles(gap: Gap) -> str:
    name, comma, split = gap.quantity.partition(", ")
    return part_title(name) + comma + SPLITS.get(split, split)


def _has_initial(gap: Gap) -> bool:
    return gap.quantity != "prediction" and bool(gap.size) and bool(gap.size[0])


def _over_initial(gap: Gap) -> np.ndarray:
    """What turns a gap over the loss of its step into one over the initial loss; 1 of predictions."""
    size = np.array(gap.size, dtype=float)
    return size / size[0] if _has_initial(gap) else np.ones(len(gap.gap[0]))


def _gap_panel(gap: Gap, widths: np.ndarray, column: int, scale: np.ndarray) -> Panel:
    means, noise, single = (
        np.array([row[column] for row in rows], dtype=float) * scale[column]
        for rows in (gap.gap, gap.noise, gap.single)
    )
    signed = gap.quantity != "prediction"
    data: list[Trace] = [marks("one network", "@first", "width", single, symbol="square")]
    two = 2 * np.array(noise, dtype=float)
    if not signed:
        data.append(line("noise of the means", "@muted", "width", noise, width=1.4, dash="dot", mode="lines"))
    data.append(marks("mean over seeds", "@last", "width", means, bars=(two, two) if signed else None))
    layout: dict[str, object] = {
        "xaxis": {"title": {"text": "width N"}, "type": "log", "tickvals": plain(widths)},
        "yaxis": {"title": {"text": "gap, relative"}, "range": _range(gap, column, scale, signed=signed)},
    }
    return Panel(data, layout)


def _range(gap: Gap, column: int, scale: np.ndarray, *, signed: bool) -> list[float]:
    """The same at all steps, so that moving the slider shows growth; a step's own where little would be seen
    of it, as where the widest networks' mean begins at zero."""
    tables = np.array([gap.gap, gap.single], dtype=float) * scale
    if signed:
        error = 2 * np.array(gap.noise, dtype=float) * scale
        tables = np.stack([*tables, tables[0] - error, tables[0] + error])
    low, high = _ends(tables, signed=signed)
    own = _ends(tables[..., column], signed=signed)
    if high - low > LARGEST_ZOOM * (own[1] - own[0]) > 0:
        low, high = own
    room = 0.08 * ((high - low) or 1.0)
    return [low - room, high + room]


def _ends(values: np.ndarray, *, signed: bool) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return float(finite.min(initial=0.0)) if signed else 0.0, float(finite.max(initial=0.0))
