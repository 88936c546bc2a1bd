"""One self-contained page from a run directory: `write_report` is where a reader begins."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import jinja2
import plotly.offline
import xarray as xr
from markupsafe import Markup, escape

from widthwise.analysis.wide_enough import TOLERANCE
from widthwise.audit import ClaimRow
from widthwise.progress import SILENT, Progress
from widthwise.records.read import damage_reported
from widthwise.report.atomic import write_bytes
from widthwise.report.audit.exports import downloads
from widthwise.report.audit.figures import audit_figures
from widthwise.report.audit.verdict_file import Audited
from widthwise.report.curves import loss_figure, prediction_figure
from widthwise.report.evidence import warnings_of
from widthwise.report.figure import Figure
from widthwise.report.forecast.exports import forecast_downloads
from widthwise.report.forecast.figures import forecast_figures
from widthwise.report.forecast.words import forecast_words
from widthwise.report.gather import Gathered, gather
from widthwise.report.headline import cards, headline, missing_words, subject
from widthwise.report.inputs import read_run
from widthwise.report.kernel_maps import kernel_figure
from widthwise.report.layers import layer_figure
from widthwise.report.palette import theme
from widthwise.report.ratios import ratio_figure
from widthwise.report.richness_scan import richness_figure
from widthwise.report.scatter import distance_figure, variance_figure
from widthwise.report.tables import Table, compared, evidence_table, matrix_table, row_table, tensor_table
from widthwise.report.wide import wide_table
from widthwise.report.words import AGAINST, conclude, title_of
from widthwise.study import dump_study

FOLDER = Path(__file__).parent / "template"
SECTIONS = (
    ("training", "Training", (loss_figure, prediction_figure)),
    ("finite-width", "Finite width", (layer_figure, ratio_figure, variance_figure, distance_figure)),
    ("richness-section", "Richness", (richness_figure,)),
    ("kernels-section", "Kernels", (kernel_figure,)),
)


@dataclass(frozen=True)
class Section:
    """Figures under one heading, and a table after them."""

    anchor: str
    title: str
    figures: list[Figure]
    table: Table | None = None


def write_report(
    directory: str | Path,
    *,
    audited: Audited | None = None,
    widths: Sequence[int] = (),
    tolerance: float = TOLERANCE,
    progress: Progress = SILENT,
) -> Path:
    """Write `report.html` into a run directory, from its theory.nc, its records.zarr, its verdict.json, its
    forecast.nc, or what there is of them.

    The page holds everything it needs, works offline, and adapts to phones and to dark mode.

    **Arguments:** `audited`, the audit of these files, if it is at hand: the page shows what it measured;
    `widths` that theory is shown at beside those of networks; `tolerance`, how small effects of finite width
    should be, where the page says from which width they are.
    **Returns:** the path of the page; it replaces an older one only when complete.
    **Errors:** `InputError` if the directory holds none of these files, a file is not what its name says, the
    tolerance is none, or the page cannot be written.
    """
    files = read_run(directory, audited)
    with damage_reported(files.directory / "records.zarr"):
        run = gather(files, tolerance=tolerance, shown=tuple(widths), progress=progress)
        page = render(run, build_sections(run, progress))
    target = files.directory / "report.html"
    write_bytes(target, page.encode("utf-8", "replace"))
    return target


def build_sections(run: Gathered, progress: Progress = SILENT) -> list[Section]:
    """The figures and tables that the run has data for, by section; empty sections are left out."""
    progress.start("drawing", sum(len(makers) for _, _, makers in SECTIONS))
    sections = []
    for anchor, title, makers in SECTIONS:
        figures = []
        for make in makers:
            figure = make(run)
            progress.advance()
            if figure is not None:
                figures.append(figure)
        table = wide_table(run) if anchor == "finite-width" else None
        if figures or table is not None:
            sections.append(Section(anchor, title, figures, table))
    return sections


def render(run: Gathered, sections: list[Section]) -> str:
    """The whole page as HTML; every value of the run is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.undefined = jinja2.StrictUndefined
    environment.filters["names"] = mark_names
    rows = run.comparison.verdicts if run.comparison is not None else ()
    audited = _audited_rows(run)
    drawn = [] if run.audited is None else audit_figures(run.audited, audited)
    foretold = [] if run.forecast is None else forecast_figures(run.forecast)
    figures = [*foretold, *drawn, *(figure for section in sections for figure in section.figures)]
    return environment.get_template("report.html.j2").render(
        name=run.name,
        headline=headline(run),
        subject=subject(run),
        cards=cards(run),
        audit=_audit_part(run, audited),
        audit_figures=drawn,
        forecast=_forecast_part(run.forecast),
        forecast_figures=foretold,
        sections=sections,
        matrix=matrix_table(run),
        rows=row_table("All results of theory against networks", compared(run), same=AGAINST),
        alpha=run.comparison.alpha if run.comparison is not None else None,
        missing=missing_words(run, "Verdicts of theory against networks"),
        warnings=warnings_of(run),
        theory=run.theory is not None,
        evidence=evidence_table(run),
        study="" if run.study is None else dump_study(run.study).strip(),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        # These are this package's and Plotly's own, or escaped by `_script_json`; nothing else is exempt.
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        script=Markup((FOLDER / "page.js").read_text(encoding="utf-8")),
        plotly=Markup(plotly.offline.get_plotlyjs()),
        figures=_script_json({figure.id: figure.to_json() for figure in figures}),
        theme=_script_json(theme(_widths(run), _layers(run))),
        verdicts=_script_json([row.to_json() for row in rows]),
    )


def mark_names(text: str) -> Markup:
    """Text in which what stands between backticks is set as code, exponents of N are raised, and lines are
    kept; everything is escaped.

    >>> str(mark_names("the records have no `<b>`")), str(mark_names("falls as N^-0.72"))
    ('the records have no <code>&lt;b&gt;</code>', 'falls as N<sup>−0.72</sup>')
    """
    marked = re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    marked = re.sub(r"\bN\^([-−]?)(\d+(?:\.\d+)?)", _raised, marked)
    return Markup(marked.replace("\n", "<br>"))


def _raised(match: re.Match[str]) -> str:
    sign = "−" if match[1] else ""
    return f"N<sup>{sign}{match[2]}</sup>"


def _audited_rows(run: Gathered) -> list[ClaimRow]:
    """Rows of the audit, but for those of theory where they stand under Verdicts."""
    rows = () if run.audited is None else run.audited.audit.rows
    return [row for row in rows if run.comparison is None or not row.claim.startswith("theory: ")]


def _audit_part(run: Gathered, rows: list[ClaimRow]) -> dict[str, object]:
    """What the section on the audit says; empty without one."""
    if run.audited is None:
        return {}
    audit = run.audited.audit
    return {
        "conclusion": conclude(audit.rows, audit.evidence.get("alpha"), audit.summary),
        "verdict": audit.verdict,
        "summary": audit.summary,
        "suggestion": audit.suggestion,
        "tensors": tensor_table(rows),
        "untested": [(title_of(each.claim), each.why) for each in audit.untested],
        "notes": run.audited.sources.notes,
        "rows": row_table("All results of the audit", rows),
        "downloads": downloads(run.audited),
    }


def _forecast_part(found: xr.Dataset | None) -> dict[str, object]:
    """What the section on the forecast says; empty without one."""
    return {} if found is None else forecast_words(found) | {"downloads": forecast_downloads(found)}


def _widths(run: Gathered) -> int:
    """How many widths have a color: those of networks, or those that were audited."""
    ensembles = None if run.audited is None else run.audited.audit.ensembles
    told = 0 if run.forecast is None else run.forecast.sizes["trained_width"] + run.forecast.sizes["width"]
    return max(len(run.shown_widths), 0 if ensembles is None else len(ensembles.widths), told)


def _layers(run: Gathered) -> int:
    return run.theory.sizes.get("layer", 1) if run.theory is not None else 1


def _script_json(value: object) -> Markup:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"), default=vars)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
