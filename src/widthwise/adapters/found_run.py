"""One run as it was found: where its numbers are, what its axes are called; nothing large is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

# What to take along each axis of one run's array: positions, or a range of them.
Selection = tuple[np.ndarray | slice, ...]


@runtime_checkable
class RunArray(Protocol):
    """One quantity of one run, dimensions of the schema (with `step`, without width and seed)."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes along the dimensions of the quantity, the step among them."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers."""
        ...

    def read(self, selection: Selection) -> np.ndarray:
        """The part of it at these positions of each axis."""
        ...


@dataclass(frozen=True)
class Labels:
    """What the axes and probes of a store are; the same in all runs that are opened together.

    **Fields:** `names`, along `layer`, `tensor`, `block` and `split` (of losses); `splits`, of each point;
    `targets`; `probes`, their hash; `shapes`, `roles`, `feeds` and `exponents` of tensors; `attributes`, of
    the store.
    """

    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    splits: tuple[str, ...] = ()
    targets: np.ndarray | None = None
    probes: str = ""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    feeds: Mapping[str, str] = field(default_factory=dict)
    exponents: Mapping[str, np.ndarray] = field(default_factory=dict)
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One (width, seed).

    **Fields:** `origin`, the store's name for messages; `done`, whether its training is over; `diverged_at`,
    first step that is not finite, -1 if none.
    """

    origin: str
    width: int
    seed: int
    steps: np.ndarray
    arrays: Mapping[str, RunArray]
    labels: Labels
    done: bool = True
    diverged_at: int = -1

    def __str__(self) -> str:
        return f"width {self.width}, seed {self.seed} ({self.origin})"


@dataclass(frozen=True)
class Held:
    """A quantity held in memory."""

    values: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes along the dimensions of the quantity, the step among them."""
        return self.values.shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the numbers."""
        return self.values.dtype

    def read(self, selection: Selection) -> np.ndarray:
        """The part of the array, chosen along each axis by itself."""
        found = self.values
        for axis, chosen in enumerate(selection):
            found = found[(slice(None),) * axis + (chosen,)]
        return found
