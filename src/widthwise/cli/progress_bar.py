"""Progress on standard error: a bar on a terminal, plain lines elsewhere, nothing if quiet."""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from widthwise.cli.streams import write_error
from widthwise.progress import SILENT, Parts, Progress, seconds_of_network
from widthwise.wording import unmarked

if TYPE_CHECKING:
    import rich.progress

SECONDS_BETWEEN_LINES = 10.0
SMALL_PART = 0.1  # of a width's units


@contextmanager
def open_progress(quiet: bool = False) -> Iterator[Progress]:
    """The progress that suits where standard error leads."""
    if quiet or sys.stderr is None:
        yield SILENT
    elif not sys.stderr.isatty():
        lines = _LineProgress()
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
            progress.TextColumn("{task.fields[left]}"),
        )
        with progress.Progress(*columns, console=Console(stderr=True)) as bars:
            yield _BarProgress(bars)


class _BarProgress:
    """A bar for each stage, with rate and time left; finished stages stay in view."""

    def __init__(self, bars: "rich.progress.Progress"):
        self._bars = bars
        self._clock = _Clock(0)
        self._task: rich.progress.TaskID | None = None

    def start(self, label: str, total: int, parts: Parts = ()) -> None:
        if self._task is not None:
            self._bars.stop_task(self._task)
        self._clock = _Clock(total, parts)
        self._task = self._bars.add_task(label, total=total, rate="", left="")

    def advance(self, amount: int = 1) -> None:
        if self._task is not None:
            self._clock.advance(amount)
            left = self._clock.seconds_left()
            words = "" if left is None else duration(left)
            self._bars.update(self._task, advance=amount, rate=self._clock.rate(), left=words)

    def say(self, message: str) -> None:
        self._bars.console.print(unmarked(message), markup=False, highlight=False)


class _LineProgress:
    """A line when a stage begins and ends, and every ten seconds between."""

    def __init__(self):
        self._label, self._clock, self._spoken = "", _Clock(0), 0.0

    def start(self, label: str, total: int, parts: Parts = ()) -> None:
        self.finish()
        self._label, self._clock, self._spoken = label, _Clock(total, parts), time.monotonic()
        write_error(f"{label}: 0/{total}" if total else f"{label}: nothing to do")

    def advance(self, amount: int = 1) -> None:
        self._clock.advance(amount)
        if time.monotonic() - self._spoken >= SECONDS_BETWEEN_LINES:
            self._spoken = time.monotonic()
            write_error(f"{self._label}: {self._clock.state()}")

    def say(self, message: str) -> None:
        write_error(unmarked(message))

    def finish(self) -> None:
        if self._label and self._clock.total:
            write_error(
                f"{self._label}: {self._clock.done}/{self._clock.total} in {self._clock.elapsed():.1f} s"
            )
        self._label = ""


class _Clock:
    """Counts what is done of `total` since it was made; `parts` as in `Progress.start`."""

    def __init__(self, total: int, parts: Parts = ()):
        self.total, self.done, self._started = total, 0, time.monotonic()
        self._last, self._units = self._started, {} if parts else {1: total}
        for units, width in parts:
            self._units[width] = self._units.get(width, 0) + units
        self._worked: dict[int, tuple[int, float]] = {}  # of each width, units and seconds
        self._first: dict[int, tuple[int, float]] = {}  # the same of its first advance, in which it compiles

    def advance(self, amount: int) -> None:
        """`amount` more units are done; what they took since the last ones is their widths'."""
        if not amount:
            return
        now, rest = time.monotonic(), amount
        for width, left in self._left():
            part = min(rest, left)
            if part > 0:
                took = (now - self._last) * part / amount
                if width not in self._first:
                    self._first[width] = (part, took)
                else:
                    units, seconds = self._worked.get(width, (0, 0.0))
                    self._worked[width] = (units + part, seconds + took)
                rest -= part
        self.done, self._last = self.done + amount, now

    def seconds_left(self) -> float | None:
        """From what units of each width took; of widths not yet begun, as its power. None while all that is
        known is a small part in which networks were compiled."""
        known = {width: seconds / units for width, (units, seconds) in self._worked.items()}
        for width, (units, seconds) in self._first.items():
            if width not in known and units >= SMALL_PART * self._units[width]:
                known[width] = seconds / units
        if not known:
            return None
        return math.fsum(left * seconds_of_network(known, width) for width, left in self._left() if left)

    def _left(self) -> list[tuple[int, int]]:
        """(width, units) that are not done."""
        found, done = [], self.done
        for width, units in self._units.items():
            found.append((width, units - min(done, units)))
            done -= min(done, units)
        return found

    def elapsed(self) -> float:
        return time.monotonic() - self._started

    def rate(self) -> str:
        return f"{self.done / max(self.elapsed(), 1e-9):.3g}/s"

    def state(self) -> str:
        """Done, rate and time left in words; before anything is done, there is no rate to tell from."""
        left = self.seconds_left()
        if left is None:
            return f"{self.done}/{self.total}, {duration(self.elapsed())} so far"
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
