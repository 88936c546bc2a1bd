"""The end of a command in a few lines: verdicts on a run, and the theory in numbers."""

import io
import shutil
import sys
from collections.abc import Sequence

import numpy as np
import xarray as xr
from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from widthwise.analysis import TheorySeries, theory_series, wide_enough
from widthwise.report.wide import CONDITIONS, wide_words
from widthwise.wording import percent

WIDTH_IN_FILES = 100
UNBOUNDED = 100_000  # columns of a file's lines, where nothing should be folded
ABSENT = "-"
REMARKS = (
    "Root mean squares over points and outputs, for kernels over pairs of points. At width N: mean ± spread "
    'of one network (shift in the mean); "-" was not computed.'
)


def on_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def render_losses(records: xr.Dataset) -> str:
    """The losses at the last recorded step, mean over the seeds that did not diverge, one line a width; where
    none were recorded, how many networks diverged."""
    last, splits = records.isel(step=-1), []
    if "loss" in records:
        loss = last["loss"].transpose("width", "seed", "split").to_numpy()
        splits = list(dict.fromkeys(str(split) for split in records["split"].to_numpy()))
    else:
        loss = last["prediction"].isel(point=0, output=[0]).transpose("width", "seed", "output").to_numpy()
    title = "loss" if splits else "networks"
    table = Table(title=f"{title} at step {int(records['step'][-1])}", title_justify="left")
    for column in ("width", "networks", "diverged", *splits):
        table.add_column(column, justify="right")
    # Nested families have more narrow networks than wide ones: the others' places are empty.
    done = records["done"].transpose("width", "seed").to_numpy()
    for width, networks, trained in zip(records["width"].to_numpy(), loss, done, strict=True):
        rows = networks[trained]
        finite = rows[np.isfinite(rows).all(axis=1)]
        columns = finite.T[: len(splits)]
        numbers = [_mean(column) for column in columns] if len(finite) else [ABSENT] * len(splits)
        table.add_row(str(int(width)), str(len(rows)), str(len(rows) - len(finite)), *numbers)
    return _rendered(_console(WIDTH_IN_FILES), table)


def _mean(values: np.ndarray) -> str:
    """Mean and standard error, both to the error's first digit."""
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    if not 1e-9 < error < 1:
        return f"{values.mean():.4g}" + (f" ± {error:.1g}" if error else "")
    digits = -int(np.floor(np.log10(error)))
    return f"{values.mean():.{digits}f} ± {error:.{digits}f}"


def render_sweep(sweep: xr.Dataset, optima: xr.Dataset) -> str:
    """Mean last losses, a line a value and a column a width, the best of a width marked; and the optima."""
    key = str(sweep.attrs["key"])
    title = f"last loss against {key}, mean over networks; * is the least"
    table = Table(title=title, title_justify="left")
    table.add_column("value", justify="right")
    for width in sweep["width"].to_numpy():
        table.add_column(f"N = {int(width)}", justify="right")
    means = sweep["loss"].mean("seed", skipna=False).transpose("value", "width").to_numpy()
    best = optima["best"].to_numpy()
    for value, row in zip(sweep["value"].to_numpy(), means, strict=True):
        cells = [
            (f"{loss:.4g}" if np.isfinite(loss) else "diverged") + (" *" if value == at else "  ")
            for loss, at in zip(row, best, strict=True)
        ]
        table.add_row(f"{value:g}", *cells)
    ranges = zip(*(optima[n].to_numpy() for n in ("optimum", "optimum_low", "optimum_high")), strict=True)
    table.add_row("optimum", *(_optimum(*each) for each in ranges))
    if "largest_stable" in optima:
        stable, largest = optima["largest_stable"].to_numpy(), float(sweep["value"].max())
        words = [
            f"{'≥ ' if each == largest else ''}{each:g}" if np.isfinite(each) else "-" for each in stable
        ]
        table.add_row("stable up to", *words)
    return _rendered(_console(WIDTH_IN_FILES), table, _moves(sweep, optima))


def _optimum(at: float, low: float, high: float) -> str:
    """With its interval, if several networks gave one."""
    interval = f" ({low:.2g} to {high:.2g})" if np.isfinite(low + high) else ""
    return f"{at:.2g}{interval}" if np.isfinite(at) else "-"


def _moves(sweep: xr.Dataset, optima: xr.Dataset) -> str:
    """How far the optimum moves with the width, as far as can be told."""
    places, widths = optima["optimum"].to_numpy(), sweep["width"].to_numpy().astype(int)
    found = np.flatnonzero(np.isfinite(places))
    lost = ", ".join(str(width) for width in widths[~np.isfinite(places)])
    parts = [f"at every value some network diverged at N = {lost}"] if lost else []
    if len(found) > 1:
        first, last = found[[0, -1]]
        moved = 2 ** np.abs(np.log2(places[last] / places[first]))
        parts.append(f"from N = {widths[first]} to {widths[last]} the optimum moves by a factor {moved:.2f}")
    if bool(optima["at_end"].any()):
        parts.append("where the optimum is at an end of the sweep, the true one may lie beyond")
    return "; ".join(parts)


def render_theory(
    theory: xr.Dataset, widths: Sequence[int], tolerance: float, *, all_widths: bool = True
) -> str:
    """What the theory says at infinite width and at each of `widths`, and how wide is wide enough.

    Numbers are root mean squares over the points and outputs of a part, over pairs of points for kernels, at
    the first, the middle and the last recorded step. At width N: the mean over initializations, the spread
    of one network, sqrt(variance / N), and in brackets the shift / N that the mean includes. What was not
    computed is "-".

    **Arguments:** `all_widths`: where the terminal is too narrow, further tables hold the widths that do not
    fit into the first; else those between the ends are left out, and said to be.
    """
    console, series = _console(UNBOUNDED), theory_series(theory)
    breadths = ((n, _breadth(console, _theory_table(series, widths[:n]))) for n in range(len(widths), 1, -1))
    fitting = next((n for n, breadth in breadths if breadth <= console.width), 1)
    shown = list(widths)
    if not all_widths:
        kept = np.unique(np.rint(np.linspace(0, len(widths) - 1, fitting)).astype(int))
        shown = [widths[at] for at in kept]
    tables = [_theory_table(series, shown[at : at + fitting]) for at in range(0, len(shown), fitting)]
    left_out = [f"--width {width}" for width in widths if width not in shown]
    wide = _wide_table(theory, tolerance)
    # A terminal narrower than one width wraps lines itself; nothing is cut off.
    console.width = max(console.width, *(_breadth(console, table) for table in (*tables, wide)))
    remarks = REMARKS + (f" Not shown for want of room: {' '.join(left_out)}." if left_out else "")
    return _rendered(console, *tables, Text(remarks, style="dim"), "", wide)


def _theory_table(series: Sequence[TheorySeries], widths: Sequence[int]) -> Table:
    table = _table("theory: infinite width, and width N", "", "step", "N → ∞", "error")
    for width in widths:
        table.add_column(f"N = {width}", justify="right", no_wrap=True)
    rows = [(one, at) for one in series for at in _shown_steps(len(one.steps))]
    by_width = [_padded([_at_width(one, at, width) for one, at in rows]) for width in widths]
    for index, (one, at) in enumerate(rows):
        cells = [f"{one.steps[at]}", number(one.value[at]), number(one.error[at], 1)]
        label = one.label if at == 0 else ""
        table.add_row(label, *cells, *(column[index] for column in by_width), end_section=_ends(rows, index))
    return table


def _ends(rows: Sequence[tuple[TheorySeries, int]], index: int) -> bool:
    return index + 1 < len(rows) and rows[index + 1][1] == 0


def _shown_steps(count: int) -> list[int]:
    """Positions of the first, the middle and the last of `count` steps, each once.

    >>> _shown_steps(101), _shown_steps(2), _shown_steps(1)
    ([0, 50, 100], [0, 1], [0])
    """
    return sorted({0, (count - 1) // 2, count - 1})


def _at_width(series: TheorySeries, at: int, width: int) -> tuple[str, str, str]:
    """Mean, spread and shift at a width."""
    shift = None if series.shift is None else float(series.shift[at]) / width
    mean = float(series.value[at]) + (shift or 0.0)
    spread = None if series.variance is None else float(np.sqrt(max(series.variance[at], 0.0) / width))
    return number(mean, 3), number(spread, 2), f"({number(shift, 2, sign=True)})"


def _padded(cells: Sequence[tuple[str, str, str]]) -> list[str]:
    """The pieces of a column below each other."""
    mean, spread, shift = (max((len(cell[i]) for cell in cells), default=0) for i in range(3))
    return [f"{a:>{mean}} ± {b:>{spread}} {c:>{shift}}" for a, b, c in cells]


def _wide_table(theory: xr.Dataset, tolerance: float) -> Table:
    title = f"width from which effects of finite width are below {percent(tolerance)}"
    table = _table(title, "", *(condition.lower().replace(", ", ",\n") for condition in CONDITIONS))
    for row in wide_enough(theory, tolerance):
        table.add_row(row.label, *wide_words(row, " ({})", (ABSENT, ABSENT)))
    return table


def number(value: float | None, digits: int = 4, *, sign: bool = False) -> str:
    """A few digits; "-" for what was not computed or is not finite.

    >>> number(0.123456), number(None), number(-2.5e-7, 2), number(0.5, 2, sign=True)
    ('0.1235', '-', '-2.5e-07', '+0.5')
    """
    known = value is not None and np.isfinite(value)
    return f"{value:{'+' if sign and value else ''}.{digits}g}" if known else ABSENT


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        # Lines between columns would leave no room for a width on a terminal of 80 columns.
        box=box.SIMPLE_HEAD if on_terminal() else None,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1 if on_terminal() else 2, 0, 0),
    )
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _breadth(console: Console, table: Table) -> int:
    """Columns that the table takes where it has room."""
    return Measurement.get(console, console.options.update(width=UNBOUNDED), table).maximum


def _console(width_in_files: int) -> Console:
    return Console(
        file=io.StringIO(),
        force_terminal=on_terminal(),
        width=shutil.get_terminal_size().columns if on_terminal() else width_in_files,
        highlight=False,
    )


def _rendered(console: Console, *pieces: RenderableType) -> str:
    with console.capture() as captured:
        for piece in pieces:
            console.print(piece)
    lines = captured.get().rstrip("\n").splitlines()
    return "\n".join(line.rstrip() for line in lines)
