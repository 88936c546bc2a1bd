"""Progress on standard error: a bar on a terminal, plain lines elsewhere, nothing if quiet."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from widthwise.cli.streams import write_error
from widthwise.progress import SILENT, Progress

if TYPE_CHECKING:
    import rich.progress

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def open_progress(quiet: bool = False) -> Iterator[Progress]:
    """The progress that suits where standard error leads."""
    if quiet or sys.stderr is None:
        yield SILENT
    elif not sys.stderr.isatty():
        lines = LineProgress()
        yield lines
        lines.finish()
    else:
        from rich import progress
        from rich.console import Console

        columns = (
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=Console(stderr=True)) as bars:
            yield BarProgress(bars)


class BarProgress:
    """A bar for each stage, with rate and time left; finished stages stay in view."""

    def __init__(self, bars: "rich.progress.Progress"):
        self._bars = bars
        self._clock = Clock(0)
        self._task: rich.progress.TaskID | None = None

    def start(self, label: str, total: int) -> None:
        """A stage begins; the one before it stops its clock."""
        if self._task is not None:
            self._bars.stop_task(self._task)
        self._clock = Clock(total)
        self._task = self._bars.add_task(label, total=total, rate="")

    def advance(self, amount: int = 1) -> None:
        """Move the bar."""
        if self._task is not None:
            self._clock.done += amount
            self._bars.update(self._task, advance=amount, rate=self._clock.rate())

    def say(self, message: str) -> None:
        """A line above the bars."""
        self._bars.console.print(message, markup=False, highlight=False)


class LineProgress:
    """A line when a stage begins and ends, and every ten seconds between."""

    def __init__(self):
        self._label, self._clock, self._spoken = "", Clock(0), 0.0

    def start(self, label: str, total: int) -> None:
        """A stage begins; the one before it ends."""
        self.finish()
        self._label, self._clock, self._spoken = label, Clock(total), time.monotonic()
        write_error(f"{label}: 0/{total}")

    def advance(self, amount: int = 1) -> None:
        """Count, and speak if it is time."""
        self._clock.done += amount
        if time.monotonic() - self._spoken >= SECONDS_BETWEEN_LINES:
            self._spoken = time.monotonic()
            write_error(f"{self._label}: {self._clock.state()}")

    def say(self, message: str) -> None:
        """A line."""
        write_error(message)

    def finish(self) -> None:
        """Say how long the stage took."""
        if self._label and self._clock.total:
            write_error(
                f"{self._label}: {self._clock.done}/{self._clock.total} in {self._clock.elapsed():.1f} s"
            )
        self._label = ""


class Clock:
    """Counts what is done of `total` since it was made."""

    def __init__(self, total: int):
        self.total, self.done, self._started = total, 0, time.monotonic()

    def elapsed(self) -> float:
        """Seconds."""
        return time.monotonic() - self._started

    def rate(self) -> str:
        """Units done a second."""
        return f"{self.done / max(self.elapsed(), 1e-9):.3g}/s"

    def state(self) -> str:
        """Done, rate and time left in words; before anything is done, there is no rate to tell from."""
        if not self.done:
            return f"0/{self.total}, {duration(self.elapsed())} so far"
        left = (self.total - self.done) * self.elapsed() / self.done
        return f"{self.done}/{self.total}, {self.rate()}, {duration(left)} left"


def duration(seconds: float) -> str:
    """A time in its two largest units.

    >>> [duration(s) for s in (4.2, 61.0, 7300.0, 200000.0)]
    ['4 s', '1 min 1 s', '2 h 1 min', '2 d 7 h']
    """
    whole = round(seconds)
    for size, name, below, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {name} {whole % size // below} {smaller}"
    return f"{whole} s"
