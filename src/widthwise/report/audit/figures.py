"""Figures of an audit: gaps between widths at each step, ensembles, and each claim's intervals."""

from collections.abc import Sequence

import numpy as np

from widthwise.audit import ClaimRow
from widthwise.audit.ensemble_curves import EnsembleCurves
from widthwise.audit.gap_series import Gap, Gaps
from widthwise.report.audit.claim_figures import claim_figure
from widthwise.report.audit.coordinate_figure import coordinate_figure
from widthwise.report.audit.verdict_file import Audited
from widthwise.report.figure import Control, Figure, Panel, Trace, line, marks, plain, value_axis
from widthwise.report.words import SPLITS, part_title

SIZES = ("the loss now", "the initial loss")
LARGEST_ZOOM = 8.0  # over which an ordinate shared by all steps would hide a step
FEWEST_SEEDS = 4  # below which resamples of them give no interval
# What is made equal, as powers of the width; parameters if most are in matrices between hidden layers.
BUDGETS = {"networks n": 0, "neurons n · N": 1, "parameters n · N²": 2}


def audit_figures(audited: Audited, rows: Sequence[ClaimRow] | None = None) -> list[Figure]:
    """The coordinate check, gaps and ensembles, if they were measured, then a figure a claim of `rows`, or of
    all; that with the worst row first."""
    rows = audited.audit.rows if rows is None else rows
    claims = list(dict.fromkeys(row.claim for row in rows))
    found = [] if audited.audit.coordinates is None else [coordinate_figure(audited.audit.coordinates)]
    if audited.audit.gaps is not None:
        found.append(gap_figure(audited.audit.gaps))
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
        views.append([Panel(data, {"xaxis": axis, "yaxis": value_axis("mean loss per point", known)})])
    return Figure(
        id="audit-ensembles",
        title="Ensembles or width",
        caption=f"Mean loss per point of ensembles of n networks at step {ensembles.step} on "
        f"{SPLITS.get(ensembles.split, ensembles.split)}; dotted, of infinitely many"
        + (
            " with its interval (bars). What is left between dotted lines whose intervals do not overlap is "
            "the bias of narrower width, which no ensemble removes."
            if _resolved(ensembles)
            else ". What is left between dotted lines is bias of narrower width, which no ensemble removes, "
            f"or the noise of few seeds: below {FEWEST_SEEDS} networks a width it is not known which."
        )
        + " What a curve falls by is variance over initializations.",
        panels=("",),
        views=views,
        controls=(Control("Compare at equal", tuple(BUDGETS)),),
    )


def _resolved(ensembles: EnsembleCurves) -> bool:
    """Whether there are networks enough for intervals."""
    return min(map(len, ensembles.curves)) >= FEWEST_SEEDS


def _curve(ensembles: EnsembleCurves, index: int, power: int) -> list[Trace]:
    """A width's curve with its markers, and its limit as a dotted line that ends in its interval."""
    width, color = ensembles.widths[index], f"@w{index}"
    curve = np.array(ensembles.curves[index], dtype=float)
    x = plain(np.arange(1, len(curve) + 1) * float(width) ** power, digits=12)
    name = f"N = {width}"
    low, limit, high = (
        np.nan if (value := each[index]) is None else float(value)
        for each in (ensembles.low, ensembles.infinite, ensembles.high)
    )
    dots = {"width": 1.4, "dash": "dot", "mode": "lines", "legendgroup": name, "band": "edge"}
    if _resolved(ensembles):
        ends = {"array": plain([np.nan, high - limit]), "arrayminus": plain([np.nan, limit - low])}
        style = {"type": "data", "symmetric": False, "color": color, "thickness": 1.4, "width": 3}
        dots["error_y"] = style | ends
    # Beside each other, so that no interval hides another.
    ends = [float(width) ** power, float(len(curve) * width**power) * 1.05 ** (index + 1)]
    return [
        line(name, color, x, curve, width=1.8, mode="lines+markers", marker={"color": color, "size": 6}),
        line(f"{name}, infinitely many", color, plain(ends), np.full(2, limit), **dots),
    ]
