"""An audit as lines of text, for terminals and for messages of tests."""

import textwrap
from collections.abc import Iterable, Sequence

from widthwise.audit import Audit, ClaimRow, Untested
from widthwise.report.words import conclude, kind_of, measured_words, where_words
from widthwise.wording import unmarked

COLUMNS = ("claim", "verdict", "estimate [interval]", "expected", "where")
MOST_ROWS = 12
WIDTH = 100
FORGIVEN = (
    "Consistent rows may miss what is expected by what finite width is forgiven: docs/audit.md, Claims."
)


def audit_text(audit: Audit, *, most: int = MOST_ROWS, width: int = WIDTH, notes: Iterable[str] = ()) -> str:
    """The worst `most` rows with their advice, counts by claim, what could not be tested, the verdict.

    Consistent rows only fill up to half of `most`. Names come from records: characters that do not print
    become "?".
    """
    bad = sum(row.verdict != "consistent" for row in audit.rows)
    shown = audit.rows[: min(most, max(bad, most // 2))]
    parts = [_evidence(audit), _table(shown, width)]
    hidden = len(audit.rows) - len(shown)
    if hidden > 0:
        parts.append(f"and {hidden} more rows, none of them worse")
    if any(row.verdict == "consistent" and row.judges and row.misses for row in shown):
        parts.append(_wrapped(FORGIVEN, width))
    parts += [_counts(audit.rows, width), _untested(audit.untested, width)]
    parts += [_wrapped(f"note: {note}", width) for note in notes]
    parts.append("\n".join(_wrapped(sentence, width) for sentence in audit.summary))
    conclusion = conclude(audit.rows, audit.evidence.get("alpha"), audit.summary)
    parts.append(_wrapped(f"{audit.verdict.upper()}: {conclusion.answer} {conclusion.detail}", width))
    return "\n\n".join(part for part in parts if part)


def printable(text: str) -> str:
    """The same without characters that move cursors or break lines.

    >>> printable("a\\x1b[31m\\nb")
    'a?[31m?b'
    """
    return "".join(character if character.isprintable() else "?" for character in text)


def _evidence(audit: Audit) -> str:
    known = audit.evidence
    widths = known.get("widths")
    listed = ", ".join(map(str, widths)) if isinstance(widths, list) else "?"
    by_width, seeds = known.get("seeds_by_width"), str(known.get("seeds", "?"))
    if isinstance(by_width, list) and len(set(by_width)) > 1:
        seeds = ", ".join(map(str, by_width))
    return printable(f"width audit: widths {listed}; {seeds} seeds; steps up to {known.get('steps', '?')}")


def _table(rows: Sequence[ClaimRow], width: int) -> str:
    if not rows:
        return ""
    cells = [
        tuple(map(printable, (row.claim, kind_of(row), *measured_words(row), _where(row)))) for row in rows
    ]
    sizes = [max(len(line[at]) for line in [COLUMNS, *cells]) for at in range(len(COLUMNS) - 1)]
    lines = [_line(COLUMNS, sizes), _line(["-" * size for size in [*sizes, len(COLUMNS[-1])]], sizes)]
    for row, line in zip(rows, cells, strict=True):
        lines.append(_line(line, sizes))
        if row.verdict != "consistent" and row.advice:
            lines.append(_wrapped(row.advice, width, "    "))
    return "\n".join(lines)


def _where(row: ClaimRow) -> str:
    unit = row.where.get("unit")
    return where_words(row.where) + (f", {unit}" if unit else "")


def _line(cells: Sequence[str], sizes: Sequence[int]) -> str:
    padded = [cell.ljust(size) for cell, size in zip(cells, sizes, strict=False)]
    return "  ".join([*padded, *cells[len(sizes) :]]).rstrip()


def _counts(rows: Sequence[ClaimRow], width: int) -> str:
    parts = []
    for claim in sorted({row.claim for row in rows}):
        found = [kind_of(row) for row in rows if row.claim == claim]
        kinds = ("inconsistent", "underpowered", "open", "consistent", "described")
        parts.append(f"{claim} " + ", ".join(f"{found.count(v)} {v}" for v in kinds if v in found))
    return _wrapped("by claim: " + "; ".join(parts), width) if parts else ""


def _untested(untested: Sequence[Untested], width: int) -> str:
    if not untested:
        return ""
    return "\n".join(
        ["not tested:", *(_wrapped(f"{each.claim}: {each.why}", width, "  ") for each in untested)]
    )


def _wrapped(text: str, width: int, indent: str = "") -> str:
    return textwrap.fill(
        printable(unmarked(text)),
        width,
        initial_indent=indent,
        subsequent_indent=indent or "  ",
        break_on_hyphens=False,
    )
