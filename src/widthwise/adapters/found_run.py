"""Runs as they were found: what their axes are called, and their numbers, read when they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from widthwise.adapters.names import NAMED, coordinate


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


def coordinates_of(
    labels: Labels, sizes: Mapping[str, int], own: Mapping[str, np.ndarray]
) -> dict[str, tuple[str, np.ndarray]]:
    """Along which dimension each coordinate stands, and its values: `own` ones, numbers, names, splits."""
    found = {name: (name, values) for name, values in own.items()}
    for dim, size in sizes.items():
        names = labels.names.get(dim)
        if dim not in own and dim != "split" and (names is None or dim == "layer"):
            found[dim] = (dim, coordinate(dim, size))
        if names is not None:
            found[NAMED[dim]] = (dim, np.array(names, dtype=object))
    if labels.splits and "point" in sizes:
        found["split"] = ("point", np.array(labels.splits, dtype=object))
    return found


@dataclass(frozen=True)
class Run:
    """One (width, seed).

    **Fields:** `origin`, the store's name for messages; `arrays`, each quantity with the dimensions of the
    schema, `step` among them, read when it is asked for; `done`, whether its training is over; `diverged_at`,
    first step that is not finite, -1 if none; `family`, the same for networks that share initial weights;
    `rate`, the learning rate or other setting of a sweep, where logs say it; `of_log`, whether it is losses
    alone that may be interpolated.
    """

    origin: str
    width: int
    seed: int
    steps: np.ndarray
    arrays: Mapping[str, xr.Variable]
    labels: Labels
    done: bool = True
    diverged_at: int = -1
    family: int | None = None
    rate: float | None = None
    of_log: bool = False

    def __str__(self) -> str:
        return f"width {self.width}, seed {self.seed} ({self.origin})"


class RunsArray(BackendArray):
    """One quantity of many runs as one array (width, seed, ...), the one that xarray asks for parts of.

    A run without the quantity, without one of the steps, or that diverged before it, is NaN there.

    **Arguments:** `runs`, by their place (index of the width, of the seed); `steps`, the common ones.
    """

    def __init__(
        self, name: str, runs: Mapping[tuple[int, int], Run], grid: tuple[int, int], steps: np.ndarray
    ):
        arrays = [run.arrays[name] for run in runs.values() if name in run.arrays]
        self._name, self._runs, self._steps = name, runs, steps
        self._axis = arrays[0].dims.index("step")
        self.shape = (*grid, *(arrays[0].sizes | {"step": len(steps)}).values())
        self.dtype = np.result_type(*[array.dtype for array in arrays])

    def __getitem__(self, key: indexing.ExplicitIndexer) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple) -> np.ndarray:
        """One run after the other, into an array that keeps every axis until the end."""
        places = [np.atleast_1d(np.arange(n)[k]) for n, k in zip(self.shape, key, strict=True)]
        found = np.full([len(each) for each in places], np.nan, self.dtype)
        for i, width in enumerate(places[0]):
            for k, seed in enumerate(places[1]):
                run = self._runs.get((int(width), int(seed)))
                if run is not None and self._name in run.arrays:
                    self._fill(found[i, k], run, places[2:])
        dropped = tuple(0 if np.ndim(k) == 0 and not isinstance(k, slice) else slice(None) for k in key)
        return np.asarray(found[dropped])

    def _fill(self, out: np.ndarray, run: Run, places: list[np.ndarray]) -> None:
        wanted = self._steps[places[self._axis]]
        at = np.minimum(np.searchsorted(run.steps, wanted), len(run.steps) - 1)
        there = run.steps[at] == wanted
        if run.diverged_at >= 0:
            there &= wanted < run.diverged_at
        if not there.any():
            return
        chosen = [*places[: self._axis], at[there], *places[self._axis + 1 :]]
        selection = tuple(as_slice(each) for each in chosen)
        out[(slice(None),) * self._axis + (there,)] = run.arrays[self._name][selection].to_numpy()


def as_slice(places: np.ndarray) -> np.ndarray | slice:
    """Neighbors as a range, which stores read faster."""
    if len(places) and (np.diff(places) == 1).all():
        return slice(int(places[0]), int(places[-1]) + 1)
    return places
