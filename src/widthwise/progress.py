"""Progress is an object passed in; the library is silent unless it is given one that speaks."""

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

Parts = Sequence[tuple[int, int]]
LONG_SECONDS = 3.0  # after which somebody who waits wants to know what for
# How a network's time grows with width where fewer than two widths tell: as its weights do.
GROWTH = 2.0


@runtime_checkable
class Progress(Protocol):
    """What long work reports to. Stages do not nest: `start` ends the stage before it."""

    def start(self, label: str, total: int, parts: Parts = ()) -> None:
        """A stage of `total` units begins; `parts`, as (units, width) in the order in which they will be
        done, width by width, if those of wider networks take longer."""
        ...

    def advance(self, amount: int = 1) -> None:
        """`amount` more units of the stage are done."""
        ...

    def say(self, message: str) -> None:
        """One line worth knowing, such as how much was already done."""
        ...


class SilentProgress:
    """Reports nothing."""

    def start(self, label: str, total: int, parts: Parts = ()) -> None:
        """Ignored."""

    def advance(self, amount: int = 1) -> None:
        """Ignored."""

    def say(self, message: str) -> None:
        """Ignored."""


SILENT = SilentProgress()


@contextmanager
def said_if_long(progress: Progress, message: str, seconds: float = LONG_SECONDS) -> Iterator[None]:
    """Say `message` once what is done within has taken `seconds`; what is quick passes in silence."""
    timer = threading.Timer(seconds, progress.say, (message,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def seconds_of_network(known: dict[int, float], width: int) -> float:
    """How long a network, or a step of it, takes: what others of its width took, else a power of the width
    through the two nearest known ones, or from the only one.

    >>> seconds_of_network({32: 1.0, 64: 2.0}, 128), seconds_of_network({32: 1.0}, 64)
    (4.0, 4.0)
    """
    if width in known:
        return known[width]
    near = sorted(known, key=lambda other: abs(math.log(other / width)))
    growth = GROWTH
    if len(near) > 1:
        one, other = (max(known[width], 1e-9) for width in near[:2])
        growth = min(3.0, max(0.0, math.log(one / other) / math.log(near[0] / near[1])))
    return float(round(known[near[0]] * (width / near[0]) ** growth, 9))
