"""The page: template, style and script, filled with a run's words, tables and figures."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import jinja2
import plotly.offline
from markupsafe import Markup, escape

from widthwise.report.audit.tables import AuditPart
from widthwise.report.audit.words import kind_of
from widthwise.report.figure import Figure
from widthwise.report.gather import Gathered
from widthwise.report.headline import cards, headline, missing_words, number, part_title, row_key
from widthwise.report.page_tables import evidence_rows, study_text, verdict_matrix, warnings_of
from widthwise.report.palette import theme
from widthwise.report.wide import Table

FOLDER = Path(__file__).parent / "page"


@dataclass(frozen=True)
class Section:
    """Figures under one heading, perhaps tables, and a note on what is missing here."""

    anchor: str
    title: str
    figures: list[Figure]
    table: Table | None = None
    note: str = ""
    audit: AuditPart | None = None


def mark_names(text: str) -> Markup:
    """Text with what stands between backticks set as code; everything is escaped.

    >>> str(mark_names("the records have no `<b>`"))
    'the records have no <code>&lt;b&gt;</code>'
    """
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def render(run: Gathered, sections: list[Section]) -> str:
    """The whole page as HTML; every value of the run is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.undefined = jinja2.StrictUndefined
    environment.filters["names"] = mark_names
    columns, matrix = verdict_matrix(run)
    rows = run.comparison.verdicts if run.comparison is not None else ()
    return environment.get_template("report.html.j2").render(
        name=run.name,
        headline=headline(run),
        audit=run.audited is not None,
        audited_alone=run.audited is not None and run.theory is None,
        cards=cards(run),
        sections=sections,
        columns=columns,
        matrix=matrix,
        rows=[_row(row) for row in rows],
        alpha=run.comparison.alpha if run.comparison is not None else None,
        missing=missing_words(run, "Verdicts"),
        warnings=warnings_of(run),
        evidence=evidence_rows(run),
        study=study_text(run.study),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        # These are this package's and Plotly's own, or escaped by `_script_json`; nothing else is exempt.
        style=Markup((FOLDER / "style.css").read_text(encoding="utf-8")),
        script=Markup((FOLDER / "page.js").read_text(encoding="utf-8")),
        plotly=Markup(plotly.offline.get_plotlyjs()),
        figures=_script_json({f.id: f.to_json() for s in sections for f in s.figures}),
        theme=_script_json(theme(_widths(run), _layers(run))),
        verdicts=_script_json([row.to_json() for row in rows]),
    )


def _widths(run: Gathered) -> int:
    """How many widths have a color: those of networks, or those that were audited."""
    ensembles = None if run.audited is None else run.audited.audit.ensembles
    return max(len(run.shown_widths), 0 if ensembles is None else len(ensembles.widths))


def _layers(run: Gathered) -> int:
    return run.theory.sizes.get("layer", 1) if run.theory is not None else 1


def _row(row) -> dict[str, str]:
    interval = "" if row.interval is None else f"[{number(row.interval[0])}, {number(row.interval[1])}]"
    return {
        "part": part_title(str(row.where.get("part", ""))),
        "claim": row_key(row),
        "estimate": number(row.estimate),
        "interval": interval,
        "expected": number(row.expected),
        "p": number(row.p_value),
        "verdict": kind_of(row),
        "advice": row.advice,
    }


def _script_json(value: object) -> Markup:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
