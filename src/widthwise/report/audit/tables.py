"""Tables of an audit for the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from widthwise.audit import ClaimRow
from widthwise.report.audit.downloads import Download, downloads
from widthwise.report.audit.verdict_file import Audited
from widthwise.report.audit.words import Conclusion, conclude, kind_of, title_of, where_words
from widthwise.report.headline import number

RANK = {"inconsistent": 0, "underpowered": 1, "consistent": 2}


@dataclass(frozen=True)
class TensorLine:
    """One tensor or layer: what it is, its worst verdict, a cell a quantity, its worst row's advice,
    empty if all is well.
    """

    name: str
    verdict: str
    cells: tuple[str, ...]
    advice: str


@dataclass(frozen=True)
class AuditPart:
    """What the page's section on the audit shows beside figures.

    **Fields:** `rows`, dictionaries of texts; `downloads`, files that the page holds; `evidence`, pairs.
    """

    conclusion: Conclusion
    verdict: str
    summary: tuple[str, ...]
    quantities: tuple[str, ...]
    tensors: tuple[TensorLine, ...]
    rows: tuple[dict[str, str], ...]
    untested: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    downloads: tuple[Download, ...]


def audit_part(audited: Audited) -> AuditPart:
    """Words and tables of the audit."""
    audit = audited.audit
    quantities, tensors = tensor_lines(audit.rows)
    return AuditPart(
        conclusion=conclude(audit.rows, audit.evidence.get("alpha"), audit.summary),
        verdict=audit.verdict,
        summary=audit.summary,
        quantities=quantities,
        tensors=tensors,
        rows=tuple(map(_texts, audit.rows)),
        untested=tuple((title_of(each.claim), each.why) for each in audit.untested),
        notes=audited.sources.notes,
        downloads=downloads(audited),
    )


def tensor_lines(rows: Sequence[ClaimRow]) -> tuple[tuple[str, ...], tuple[TensorLine, ...]]:
    """Quantities, and a line for each tensor and each layer of `scales`, the worst first.

    Of several steps a cell shows the worst.
    """
    mine = [(_owner(row), row) for row in rows if row.claim == "scales" and _owner(row)]
    quantities = tuple(sorted({str(row.where.get("quantity", "")) for _, row in mine}))
    lines = []
    for name in dict.fromkeys(owner for owner, _ in mine):
        own = [row for owner, row in mine if owner == name]
        cells = []
        for quantity in quantities:
            found = [row for row in own if str(row.where.get("quantity", "")) == quantity]
            cells.append(_measured(min(found, key=lambda row: RANK[row.verdict])) if found else "–")
        worst = min(own, key=lambda row: RANK[row.verdict])  # of equals the first, as rows are sorted
        advice = "" if worst.verdict == "consistent" else worst.advice
        lines.append(TensorLine(name, worst.verdict, tuple(cells), advice))
    return quantities, tuple(sorted(lines, key=lambda line: RANK[line.verdict]))


def _owner(row: ClaimRow) -> str:
    for kind in ("tensor", "layer"):
        if kind in row.where:
            return f"{kind} {row.where[kind]}"
    return ""


def _measured(row: ClaimRow) -> str:
    return f"{number(row.estimate)} ({number(row.expected)})"


def _texts(row: ClaimRow) -> dict[str, str]:
    interval = "" if row.interval is None else f"[{number(row.interval[0])}, {number(row.interval[1])}]"
    return {
        "claim": title_of(row.claim),
        "verdict": row.verdict,
        "label": kind_of(row),
        "where": where_words(row.where),
        "estimate": number(row.estimate),
        "interval": interval,
        "expected": number(row.expected),
        "resolution": number(row.resolution),
        "p": number(row.p_value),
        "advice": row.advice,
    }
