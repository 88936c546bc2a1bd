"""Progress is an object passed in; the library is silent unless it is given one that speaks."""

from typing import Protocol, runtime_checkable


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
