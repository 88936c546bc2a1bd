"""The end of a run in a few lines: which claims hold, how often, and the word on all of them."""

import io
import shutil
import sys

from rich.console import Console
from rich.table import Table

from widthwise.analysis import Comparison

VERDICTS = ("consistent", "inconsistent", "underpowered")
COLORS = {"consistent": "green", "inconsistent": "red", "underpowered": "yellow"}
WIDTH_IN_FILES = 100


def render_verdicts(comparison: Comparison) -> str:
    """A table with one line a claim, counting its verdicts over parts and widths, and the joint verdict."""
    table = Table(title="theory against trained networks", title_justify="left")
    table.add_column("claim")
    for verdict in VERDICTS:
        table.add_column(verdict, justify="right", style=COLORS[verdict])
    for claim in dict.fromkeys(row.claim for row in comparison.verdicts):
        found = [row.verdict for row in comparison.verdicts if row.claim == claim]
        table.add_row(claim.replace("_", " "), *(str(found.count(v)) if v in found else "" for v in VERDICTS))
    joint = comparison.joint_verdict
    line = f"joint test (false alarms in {comparison.alpha:.0%} of correct runs): [{COLORS[joint]}]{joint}[/]"
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    console = Console(
        file=io.StringIO(),
        force_terminal=on_terminal,
        width=shutil.get_terminal_size().columns if on_terminal else WIDTH_IN_FILES,
        highlight=False,
    )
    with console.capture() as captured:
        console.print(table)
        console.print(line)
    return captured.get().rstrip("\n")
