"""Progress is an object passed in; the library is silent unless it is given one that speaks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

LONG_SECONDS = 3.0  # after which somebody who waits wants to know what for


@runtime_checkable
class Progress(Protocol):
    """What long work reports to. Stages do not nest: `start` ends the stage before it."""

    def start(self, label: str, total: int) -> None:
        """A stage of `total` equal units begins."""
        ...

    def advance(self, amount: int = 1) -> None:
        """`amount` more units of the stage are done."""
        ...

    def say(self, message: str) -> None:
        """One line worth knowing, such as how much was already done."""
        ...


class SilentProgress:
    """Reports nothing."""

    def start(self, label: str, total: int) -> None:
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
