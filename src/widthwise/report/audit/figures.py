"""Figures of an audit: gaps between widths at each step, ensembles, and each claim's intervals."""

import numpy as np

from widthwise.audit.gap_series import Gap, Gaps
from widthwise.report.audit.claim_figures import claim_figure
from widthwise.report.audit.ensembles import ensemble_figure
from widthwise.report.audit.verdict_file import Audited
from widthwise.report.figure import Control, Figure, Panel, Trace, plain

SIZES = ("the loss now", "the initial loss")
LARGEST_ZOOM = 8.0  # over which an ordinate shared by all steps would hide a step


def audit_figures(audited: Audited) -> list[Figure]:
    """The gaps and the ensembles, if they were measured, then a figure a claim, that with the worst row
    first."""
    rows = audited.audit.rows
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
        caption="Relative to the widest networks' mean, or of losses to its initial value: both rank tasks "
        "differently. Predictions: root mean square distance of the mean over seeds, less what the noise of "
        "the means adds, and zero where it lies below that noise (dotted). Losses: difference of the means, "
        "with two standard errors. One network: typical distance of a single network, of which ensembling "
        "removes what lies above the means.",
        panels=tuple(gap.quantity.capitalize() for gap in shown),
        views=views,
        controls=(*choice, slider),
        axes={"width": widths},
    )


def _has_initial(gap: Gap) -> bool:
    return gap.quantity != "prediction" and bool(gap.size) and bool(gap.size[0])


def _over_initial(gap: Gap) -> np.ndarray:
    """What turns a gap over the loss of its step into one over the initial loss; 1 of predictions."""
    size = np.array(gap.size, dtype=float)
    return size / size[0] if _has_initial(gap) else np.ones(len(gap.gap[0]))


def _gap_panel(gap: Gap, widths: np.ndarray, column: int, scale: np.ndarray) -> Panel:
    means, noise, single = (
        plain([(np.nan if row[column] is None else row[column]) * scale[column] for row in rows])
        for rows in (gap.gap, gap.noise, gap.single)
    )
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
        "yaxis": {"title": {"text": "relative gap"}, "range": _range(gap, column, scale, signed=signed)},
    }
    return Panel(data, layout)


def _series(name: str, color: str, symbol: str, values: list[float | int | None]) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "legendgroup": name,
        "marker": {"color": color, "size": 9, "symbol": symbol},
        "x": "width",
        "y": values,
    }


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
