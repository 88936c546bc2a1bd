"""An audit for other programs: every number as CSV, in links that hold their files, and JUnit XML."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree import ElementTree

from widthwise.analysis.verdict import UNDECIDED
from widthwise.audit import Audit, ClaimRow
from widthwise.audit.ensemble_curves import EnsembleCurves
from widthwise.audit.gap_series import Gaps
from widthwise.report.audit.verdict_file import Audited
from widthwise.report.words import conclude, measured_words, plain_number, where_words

FIRST = ("claim", "kind", "verdict", "where", "tensor", "layer", "quantity", "step", "width", "unit")
NUMBERS = ("estimate", "low", "high", "expected", "resolution", "p_value", "more_seeds")
# What XML 1.0 has no way to write.
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Download:
    """A file to save: the `name` of it, its `label` on the page, and a data link that holds it."""

    key: str
    name: str
    label: str
    link: str


def downloads(audited: Audited) -> tuple[Download, ...]:
    """All rows of the audit, and the gaps and ensembles where they were measured."""
    found = [download("audit", "all tests", rows_csv(audited.audit.rows))] if audited.audit.rows else []
    if audited.audit.gaps is not None:
        found.append(download("gaps", "gaps at every step", gaps_csv(audited.audit.gaps)))
    if audited.audit.ensembles is not None:
        found.append(download("ensembles", "ensembles", ensembles_csv(audited.audit.ensembles)))
    return tuple(found)


def rows_csv(rows: Sequence[ClaimRow]) -> str:
    """All rows; texts that a spreadsheet would take for a formula are preceded by an apostrophe."""
    columns = (*FIRST, *NUMBERS, "advice")
    lines = []
    for row in rows:
        low, high = (None, None) if row.interval is None else row.interval
        known: dict[str, object] = {name: row.where.get(name) for name in FIRST[4:]}
        known |= {"claim": row.claim, "verdict": row.verdict, "where": where_words(row.where)}
        known |= {"kind": "test" if row.judges else "description"}
        known |= {"low": low, "high": high}
        lines.append([known[name] if name in known else getattr(row, name) for name in columns])
    return table_text(columns, lines)


def gaps_csv(gaps: Gaps) -> str:
    """A line for each quantity, width and step, relative to the widest's `size` there."""
    lines = []
    for gap in gaps.gaps:
        size = gap.size or [None] * len(gaps.steps)
        for at, width in enumerate(gaps.widths):
            for column, step in enumerate(gaps.steps):
                numbers = (rows[at][column] for rows in (gap.gap, gap.noise, gap.single))
                lines.append([gap.quantity, width, gaps.widths[-1], step, *numbers, size[column]])
    columns = ("quantity", "width", "against", "step", "gap", "noise", "one_network", "size")
    return table_text(columns, lines)


def ensembles_csv(ensembles: EnsembleCurves) -> str:
    """A line for each width and size, and one of infinitely many networks with its interval."""
    lines = []
    for at, width in enumerate(ensembles.widths):
        start = [ensembles.split, ensembles.step, width]
        lines += [[*start, n, loss, None, None] for n, loss in enumerate(ensembles.curves[at], start=1)]
        lines.append([*start, "infinite", ensembles.infinite[at], ensembles.low[at], ensembles.high[at]])
    return table_text(("split", "step", "width", "networks", "loss", "low", "high"), lines)


def download(key: str, label: str, text: str) -> Download:
    """A CSV file in a link."""
    link = "data:text/csv;charset=utf-8," + quote(text)
    return Download(f"download-{key}", f"{key}.csv", f"Download {label} (CSV)", link)


def table_text(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """Lines as CSV, safe in a spreadsheet."""
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(columns)
    for line in lines:
        writer.writerow([_harmless(value) for value in line])
    return stream.getvalue()


def _harmless(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, str) and value[:1] in tuple("=+-@\t\r"):
        return f"'{value}"
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def junit_xml(audit: Audit) -> bytes:
    """One test case a row, and one for each claim that could not be tested.

    Inconsistent rows are failures, underpowered, open and untested ones are skipped.
    """
    kinds = [row.verdict for row in audit.rows]
    skipped = sum(kind in UNDECIDED for kind in kinds) + len(audit.untested)
    counts = {
        "tests": str(len(kinds) + len(audit.untested)),
        "failures": str(kinds.count("inconsistent")),
        "skipped": str(skipped),
        "errors": "0",
    }
    root = ElementTree.Element("testsuites", {"name": "widthwise", **counts})
    suite = ElementTree.SubElement(root, "testsuite", {"name": "width audit", **counts})
    for row in audit.rows:
        case = _case(suite, row.claim, where_words(row.where))
        measured = ", expected ".join(measured_words(row))
        if row.verdict == "inconsistent":
            failure = ElementTree.SubElement(
                case, "failure", {"message": _text(row.advice), "type": row.verdict}
            )
            failure.text = _text(f"{row.advice}\nestimate {measured}, adjusted p {plain_number(row.p_value)}")
        elif row.verdict in UNDECIDED:
            ElementTree.SubElement(case, "skipped", {"message": _text(row.advice)})
        else:
            ElementTree.SubElement(case, "system-out").text = _text(f"estimate {measured}")
    for each in audit.untested:
        case = _case(suite, each.claim, "not tested")
        ElementTree.SubElement(case, "skipped", {"message": _text(each.why)})
    conclusion = conclude(audit.rows, audit.evidence.get("alpha"), audit.summary)
    said = ElementTree.SubElement(suite, "system-out")
    said.text = _text(" ".join([conclusion.answer, conclusion.detail, *audit.summary]))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)


def _case(suite: ElementTree.Element, claim: str, name: str) -> ElementTree.Element:
    names = {"classname": _text(f"widthwise.{claim}"), "name": _text(name), "time": "0"}
    return ElementTree.SubElement(suite, "testcase", names)


def _text(text: str) -> str:
    return FORBIDDEN.sub("?", text)
