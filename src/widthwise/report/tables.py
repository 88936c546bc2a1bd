"""Tables of the page: verdicts at a glance and in full, tensors, evidence.

All have one shape, `Table`, which one macro of the template writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from widthwise.audit import ClaimRow
from widthwise.audit.against_theory import PREFIX
from widthwise.report.evidence import evidence_rows
from widthwise.report.gather import Gathered
from widthwise.report.words import (
    QUANTITIES,
    kind_of,
    measured_words,
    number,
    part_title,
    plain_number,
    title_of,
    unit_of,
    where_words,
)

COLUMNS = (
    ("Mean", ("mean_with_shift", "mean_infinite_width")),
    ("N · variance", ("variance",)),
    ("N · variance, N\u00a0→\u00a0∞", ("variance_scaling",)),
    ("Mean shift, N\u00a0→\u00a0∞", ("shift_scaling",)),
    ("Exponent, one network", ("single_network_exponent",)),
    ("Exponent, mean", ("ensemble_mean_exponent",)),
)
AT_WIDTHS = {
    "consistent": "agrees at",
    "underpowered": "undecided at",
    "open": "open at",
    "inconsistent": "disagrees at",
    "described": "in its interval at",
}
SMALLEST_P = 0.001  # files have smaller ones
RANK = {"inconsistent": 0, "underpowered": 1, "open": 2, "consistent": 3, "described": 4}
EXPONENTS = (
    "How root mean squares (RMS) go with the width N, and in brackets how they should; of several steps the "
    "worst is shown. Activations are those of a layer, their change is since initialization."
)
ROWS = (
    "Expected: of networks that scale correctly, or that theory predicts. Resolution: the smallest effect "
    "that would have been seen with probability 0.8. p is adjusted for all tests. Brackets: the interval of "
    "the estimate."
)


@dataclass(frozen=True)
class Cell:
    """A text, after a `verdict` in its color, called `label` if that says more; `kind`, its style."""

    text: str = ""
    kind: str = ""
    verdict: str = ""
    label: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the page; the first cell of each row is its heading.

    **Fields:** `folded`, what stands in place of the table until a reader opens it; `kind`, its style.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    folded: str = ""
    kind: str = ""


def table_of(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Cell | str]], **more: str
) -> Table | None:
    """A table in which texts are cells of numbers, but for the first; None without rows."""
    made = tuple(
        tuple(
            cell if isinstance(cell, Cell) else Cell(cell, "number" if at else "")
            for at, cell in enumerate(row)
        )
        for row in rows
    )
    return Table(title, tuple(columns), made, **more) if made else None


def compared(run: Gathered) -> tuple[ClaimRow, ...]:
    """What theory was compared with, as rows of an audit; none without a comparison."""
    rows = () if run.comparison is None else run.comparison.verdicts
    return tuple(replace(row, claim=f"{PREFIX}{row.claim}") for row in rows)


def row_table(title: str, rows: Sequence[ClaimRow], *, same: str = "") -> Table | None:
    """All rows of an audit or a comparison, folded; `same`, with which the title of every claim begins."""
    lines = []
    for row in rows:
        told, expected = map(_signed, measured_words(row))
        unit = unit_of(row)
        lines.append(
            (
                title_of(row.claim).removeprefix(same),
                Cell(where_words(row.where)),
                Cell(verdict=kind_of(row)),
                f"{told}\n{unit}" if told != "–" and "N^" not in told else told,
                expected,
                number(row.resolution),
                _probability(row.p_value),
                Cell(row.advice, "advice"),
            )
        )
    columns = ("Claim", "Where", "Verdict", "Estimate", "Expected", "Resolution", "p", "What it says")
    folded = f"All {len(rows)} results"
    return table_of(title, columns, lines, caption=ROWS, folded=folded, kind="results")


def _probability(p: float | None) -> str:
    return number(p) if p is None or p >= SMALLEST_P else f"< {SMALLEST_P}"


def tensor_table(rows: Sequence[ClaimRow]) -> Table | None:
    """A line for each tensor and each layer of `scales`, the worst first; of several steps a cell shows the
    worst."""
    mine = [(_owner(row), row) for row in rows if row.claim == "scales" and _owner(row)]
    quantities = sorted({str(row.where.get("quantity", "")) for _, row in mine})
    lines = []
    for name in dict.fromkeys(owner for owner, _ in mine):
        own = [row for owner, row in mine if owner == name]
        cells = []
        for quantity in quantities:
            found = [row for row in own if str(row.where.get("quantity", "")) == quantity]
            cells.append(_exponent(min(found, key=lambda row: RANK[row.verdict])) if found else "–")
        worst = min(own, key=lambda row: RANK[row.verdict])  # of equals the first, as rows are sorted
        advice = Cell("" if worst.verdict == "consistent" else worst.advice, "advice")
        lines.append((Cell(name), Cell(verdict=worst.verdict), *cells, advice))
    lines.sort(key=lambda line: RANK[line[1].verdict])
    titles = [QUANTITIES.get(quantity, quantity) for quantity in quantities]
    columns = ("Tensor or layer", "Verdict", *(t[:1].upper() + t[1:] for t in titles), "What it says")
    title = "Tensors and layers, the worst first"
    return table_of(title, columns, lines, caption=EXPONENTS, kind="tensors")


def _owner(row: ClaimRow) -> str:
    return next((f"{kind} {row.where[kind]}" for kind in ("tensor", "layer") if kind in row.where), "")


def _exponent(row: ClaimRow) -> str:
    return _signed(f"N^{plain_number(row.estimate, 2)} ({measured_words(row)[1]})")


def _signed(words: str) -> str:
    """With true minus signs, and a dash for what is unknown."""
    return "–" if words == "-" else words.replace("-", "−")


def matrix_table(run: Gathered) -> Table | None:
    """For each part a cell a claim: the worst verdict of its widths, "described" where none is judged;
    columns without any are left out."""
    rows = [row for row in compared(run) if row.where.get("part") != "run"]
    columns = [column for column in COLUMNS if any(_claim(row) in column[1] for row in rows)]
    lines = []
    for part in dict.fromkeys(str(row.where["part"]) for row in rows):
        mine = [row for row in rows if row.where["part"] == part]
        cells = [_at_a_glance([row for row in mine if _claim(row) in claims]) for _, claims in columns]
        lines.append((part_title(part), *cells))
    titles = ("Quantity", *(title for title, _ in columns))
    return table_of("Theory against networks at a glance", titles, lines, kind="matrix")


def _claim(row: ClaimRow) -> str:
    return row.claim.removeprefix(PREFIX)


def _at_a_glance(rows: Sequence[ClaimRow]) -> Cell:
    if not rows:
        return Cell("–")
    tests = [row for row in rows if row.judges] or rows
    worst = min(tests, key=lambda row: RANK[kind_of(row)])
    kind = kind_of(worst)
    if len(rows) == 1 and "width" not in worst.where:
        text = _signed(measured_words(worst)[0])
    else:
        # Several widths in one cell: at how many of them the worst verdict was given.
        count = sum(kind_of(row) == kind and not (kind == "described" and row.misses) for row in tests)
        text = f"{AT_WIDTHS[kind]} {_of_widths(count, len(tests))}"
    bent = any(not row.judges and row.advice.startswith("Next order") for row in rows)
    return Cell(text, "", kind, f"{kind} · 1/N²" if bent else "")


def _of_widths(count: int, all_of_them: int) -> str:
    """How many of the widths.

    >>> _of_widths(1, 4), _of_widths(4, 4), _of_widths(1, 1)
    ('1 of 4 widths', 'all 4 widths', 'the one width')
    """
    if count < all_of_them:
        return f"{count} of {all_of_them} widths"
    return "the one width" if count == 1 else f"all {count} widths"


def evidence_table(run: Gathered) -> Table | None:
    """Everything the files say about how they were made."""
    lines = [(key, Cell(theirs), Cell(ours)) for key, theirs, ours in evidence_rows(run)]
    return table_of("Evidence", ("What", "Theory", "Networks"), lines, kind="evidence")
