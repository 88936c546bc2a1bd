"""How wide is wide enough, in words: one number and one name for each condition, wherever it is said."""

import math

from widthwise.analysis import WideEnough, wide_enough
from widthwise.report.gather import Gathered
from widthwise.report.tables import Table, table_of
from widthwise.report.words import part_title
from widthwise.wording import percent

CONDITIONS = ("Spread, last step", "Spread, worst step", "Shift, last step", "Shift, worst step")
LONGEST_COUNT = 10**8
WIDE = (
    "The width from which a network's relative spread over initializations, √(variance / N), and its "
    "relative mean shift, shift / N, are below {wanted}: at the last recorded step, and at the worst step "
    "where the value is not zero. Relative means root mean square over points over that of the value; for "
    "the loss, over the loss. Seeds: how many networks of that width have a mean that is known to {wanted} "
    "(standard error) at the last step. Leading order in 1/N throughout; `--tolerance` asks for other than "
    "{wanted}."
)


def wide_table(run: Gathered) -> Table | None:
    """How wide is wide enough, and how many seeds are many enough; None without a theory."""
    if run.theory is None:
        return None
    wanted, widths = percent(run.tolerance), run.shown_widths
    lines = [
        (
            part_title(row.label),
            *wide_words(row),
            *("–" if count is None else count_words(count) for count in row.seeds),
        )
        for row in wide_enough(run.theory, run.tolerance, widths)
    ]
    seeds = (f"Seeds at N\u00a0=\u00a0{width}" for width in widths)
    columns = ("Quantity", *CONDITIONS, *seeds)
    return table_of(f"How wide for {wanted}?", columns, lines, caption=WIDE.format(wanted=wanted))


def wide_words(
    row: WideEnough, step: str = " (step {})", absent: tuple[str, str] = ("not computed", "–")
) -> tuple[str, ...]:
    """The four widths of `CONDITIONS`, those of worst steps with that step.

    **Arguments:** `absent`, what stands for a number that was not computed, and for one that is known at
    other steps only.
    """
    words = []
    for last, worst in ((row.spread_last, row.spread_worst), (row.shift_last, row.shift_worst)):
        none = absent[worst is not None]
        words.append(none if last is None else width_words(last.width))
        words.append(none if worst is None else width_words(worst.width) + step.format(worst.step))
    return tuple(words)


def width_words(width: float) -> str:
    """A width rounded up to two digits, as theory knows it to leading order only.

    >>> width_words(0.2), width_words(1234.5), width_words(3.2e9)
    ('1', '1,300', '3.2e+09')
    """
    size = max(width, 1.0)
    unit = 10.0 ** max(math.floor(math.log10(size)) - 1, 0)
    rounded = math.ceil(size / unit * (1 - 1e-12)) * unit
    return count_words(rounded)


def count_words(count: int | float) -> str:
    """A whole number with its thousands apart, or two digits of a very large one."""
    return f"{count:,.0f}" if count < LONGEST_COUNT else f"{count:.2g}"
