"""One run as it was found: where its numbers are, what its axes are called; nothing large is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import xarray as xr


@dataclass(frozen=True)
class Labels:
    """What the axes and probes of a store are; the same in all runs that are opened together.

    **Fields:** `names`, along `layer`, `tensor`, `block` and `split` (of losses); `splits`, of each point;
    `targets`; `probes`, their hash; `shapes`, `roles` and `exponents` of tensors; `attributes`, of the store.
    """

    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    splits: tuple[str, ...] = ()
    targets: np.ndarray | None = None
    probes: str = ""
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    exponents: Mapping[str, np.ndarray] = field(default_factory=dict)
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One (width, seed).

    **Fields:** `origin`, the store's name for messages; `arrays`, each quantity with the dimensions of the
    schema, `step` among them, read when it is asked for; `done`, whether its training is over; `diverged_at`,
    first step that is not finite, -1 if none.
    """

    origin: str
    width: int
    seed: int
    steps: np.ndarray
    arrays: Mapping[str, xr.Variable]
    labels: Labels
    done: bool = True
    diverged_at: int = -1

    def __str__(self) -> str:
        return f"width {self.width}, seed {self.seed} ({self.origin})"
