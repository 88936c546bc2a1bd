"""One quantity of many runs as one array (width, seed, ...), read where and when it is asked for."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from xarray.backends import BackendArray
from xarray.core import indexing

from widthwise.adapters.found_run import Run


class RunsArray(BackendArray):
    """The array that xarray asks for parts of.

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
