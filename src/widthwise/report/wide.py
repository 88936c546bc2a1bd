"""How wide is wide enough, and how many seeds are many enough: one table of the page."""

from dataclasses import dataclass

from widthwise.analysis import Sufficient, WideEnough, wide_enough
from widthwise.report.gather import Gathered
from widthwise.report.headline import count_words, part_title, percent, width_words

NOT_COMPUTED = "not computed"


@dataclass(frozen=True)
class Table:
    """A table of the page; the first cell of each row is its heading."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def wide_table(run: Gathered) -> Table | None:
    """A row for each part of theory; None without a theory."""
    if run.theory is None:
        return None
    wanted = percent(run.tolerance)
    widths = run.shown_widths
    rows = wide_enough(run.theory, run.tolerance, widths)
    if not rows:
        return None
    return Table(
        title=f"How wide for {wanted}?",
        caption="The width from which a network's relative spread over initializations, √(variance / N), "
        f"and its relative mean shift, shift / N, are below {wanted}: at the last recorded step, and at the "
        "worst step where the value is not zero. Relative means root mean square over points over that of "
        "the value; for the loss, over the loss. Seeds: how many networks of that width have a mean that is "
        f"known to {wanted} (standard error) at the last step. Leading order in 1/N throughout; "
        f"`--tolerance` asks for other than {wanted}.",
        columns=(
            "Quantity",
            "Spread, last step",
            "Spread, worst step",
            "Shift, last step",
            "Shift, worst step",
            *(f"Seeds at N\u00a0=\u00a0{width}" for width in widths),
        ),
        rows=tuple(_row(row) for row in rows),
    )


def _row(row: WideEnough) -> tuple[str, ...]:
    cells = [
        _width(row.spread_last, row.spread_worst),
        _width(row.spread_worst, row.spread_worst, worst=True),
        _width(row.shift_last, row.shift_worst),
        _width(row.shift_worst, row.shift_worst, worst=True),
    ]
    seeds = ["–" if count is None else count_words(count) for count in row.seeds]
    return part_title(row.label), *cells, *seeds


def _width(cell: Sufficient | None, known: Sufficient | None, *, worst: bool = False) -> str:
    """A width; of what is known at other steps only a dash, else that it was not computed."""
    if cell is None:
        return NOT_COMPUTED if known is None else "–"
    return width_words(cell.width) + (f" (step {cell.step})" if worst else "")
