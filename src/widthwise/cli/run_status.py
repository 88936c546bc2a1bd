"""How far a run is, in words."""

from widthwise.cli.progress_bar import duration
from widthwise.records.status import STATES, CellStatus, RunStatus

LONGEST_LIST = 12


def render_status(status: RunStatus) -> str:
    """Counts, time left, and what runs, was interrupted or failed."""
    total = len(status.cells)
    counts = [f"{status.count(state)} {state}" for state in STATES if status.count(state) or state == "done"]
    lines = [f"{total} cells: {', '.join(counts)}"]
    if status.count("done") < total:
        left = status.seconds_left
        lines.append(f"time left: {'not known before a cell is done' if left is None else duration(left)}")
    notable = [each for each in status.cells if each.state in ("running", "interrupted", "failed")]
    lines += [_line(each) for each in notable[:LONGEST_LIST]]
    if len(notable) > LONGEST_LIST:
        lines.append(f"  and {len(notable) - LONGEST_LIST} more")
    if status.count("failed") or status.count("interrupted"):
        lines.append("the same command without --status goes on with what was interrupted or failed")
    return "\n".join(lines)


def _line(each: CellStatus) -> str:
    ending = f": {each.message}" if each.message else ""
    return f"  {each.state}: {each.cell}, {duration(each.seconds)} on {each.where}{ending}"
