"""How one study's records are laid out: coordinates, array shapes, and which chunks belong to which cell."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from widthwise.records.schema import (
    BOOKKEEPING,
    QUANTITIES,
    RECORD_DIMS,
    Variable,
    with_errors,
)
from widthwise.study import EnsembleSettings, Study

# What the training depends on: the tables that a store must agree on with the study that writes to it, but
# for how many networks there are, which changes none of them.
TRAINING_TABLES = ("data", "network", "training", "ensemble", "record")
TOTALS = (("ensemble", "widths"), ("ensemble", "seeds"))
# Keys that are younger than some stores, which lack them: what those were trained with.
ONCE = {("ensemble", "coupling"): "independent"}

# A chunk of the store, and what is held in memory before it is written, is kept below these where a single
# step (a single network) allows.
CHUNK_BYTES = 64 * 2**20
WRITE_BYTES = 512 * 2**20


@runtime_checkable
class RecordedPoints(Protocol):
    """What records keep of the points."""

    @property
    def targets(self) -> Float[np.ndarray, "point output"]:
        """Targets y of the recorded points, dimensionless, of order 1 in the width."""
        ...

    @property
    def splits(self) -> list[str]:
        """ "train" or "test" for each point."""
        ...

    def digest(self) -> str:
        """Content hash of the points."""
        ...


@dataclass(frozen=True)
class Cell:
    """Seeds `start` to `stop` - 1 of one width: what is trained, recorded and marked done together."""

    width_index: int
    width: int
    start: int
    stop: int

    @property
    def name(self) -> str:
        """A file name of its own."""
        return f"width_{self.width:05d}_seeds_{self.start:05d}_{self.stop - 1:05d}"

    def __str__(self) -> str:
        last = self.stop - 1
        seeds = f"seed {last}" if self.start == last else f"seeds {self.start} to {last}"
        return f"width {self.width}, {seeds}"


class ArrayPlan(NamedTuple):
    """One array of the store."""

    variable: Variable
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: str
    fill: float | int | bool


@dataclass(frozen=True)
class Layout:
    """The plan of a store, a pure function of study, points and what the network is made of.

    **Fields:** `labels`, for dimensions whose length the network decides, the values along them: names of
    its layers ("layer") and of its weight tensors ("tensor"), levels ("quantile"), numbers 0, 1, ... of
    heads, queries, keys and modes. Without "layer" there are `hidden_layers` of them, without names.
    """

    study: Study
    points: RecordedPoints
    labels: Mapping[str, tuple] = field(default_factory=dict)

    def training_hash(self, totals: Mapping[str, object] | None = None) -> str:
        """Content hash (hex, 64 digits) of everything that the numbers recorded of a network depend on.

        **Arguments:** `totals`, `ensemble.widths` and `ensemble.seeds` of the store, which stores that were
        never extended may have in their hash.
        """
        tables = {name: table for name, table in self.study.tables().items() if name in TRAINING_TABLES}
        del tables["data"]["path"]
        for table, name in TOTALS:
            del tables[table][name]
        for (table, name), value in ONCE.items():
            if tables[table][name] == value:
                del tables[table][name]
        tables["ensemble"].update(totals or {})
        content = hashlib.sha256(json.dumps(tables, sort_keys=True).encode()).hexdigest()
        return hashlib.sha256((content + self.points.digest()).encode()).hexdigest()

    def beside(self, widths: Sequence[int], seeds: int) -> "Layout":
        """The layout of a store that has these widths and so many seeds already: each network keeps its
        place, and what the study asks for beyond them comes after."""
        ensemble = self.study.ensemble
        every = (*widths, *(width for width in ensemble.widths if width not in widths))
        grown = replace(ensemble, widths=every, seeds=max(seeds, ensemble.seeds))
        return replace(self, study=replace(self.study, ensemble=grown))

    def coordinates(self) -> dict[str, np.ndarray]:
        """Values of every coordinate, by name."""
        study, (points, outputs) = self.study, self.points.targets.shape
        layers = len(self.labels.get("layer", ())) or study.network.hidden_layers
        fixed = {
            "width": np.array(study.ensemble.widths),
            "seed": np.arange(study.ensemble.most_networks),
            "step": study.recorded_steps(),
            "point": np.arange(points),
            "point_b": np.arange(points),
            "output": np.arange(outputs),
            "layer": np.arange(1, layers + 1),
            "split": _labels(self.points.splits),
        }
        named = {"layer_name": _labels(self.labels["layer"])} if "layer" in self.labels else {}
        own = {name: _labels(values) for name, values in self.labels.items() if name not in fixed}
        nested = study.ensemble.coupling == "nested"
        return fixed | ({"family": families(study.ensemble)} if nested else {}) | named | own

    def quantities(self, asked: Sequence[str] | None = None) -> tuple[str, ...]:
        """Names of what is `asked` for, or else of all that the study asks for, and what goes with it."""
        return with_errors(self.study.record.quantities if asked is None else asked)

    def cells(self, asked: EnsembleSettings | None = None) -> list[Cell]:
        """Every cell, or those of the widths and seeds that are `asked` for, widths in their order."""
        return cells_of(self.study.ensemble, asked)

    def whole(self, cell: Cell) -> Cell:
        """The cell with all networks of the layout whose files it shares."""
        block = self.study.ensemble.seeds_per_cell
        start = cell.start // block * block
        return replace(cell, start=start, stop=min(start + block, self.study.ensemble.networks(cell.width)))

    def network_bytes(self, asked: Sequence[str] | None = None) -> int:
        """Size of all that is recorded of one network, or of what is `asked` for and what goes with it."""
        return sum(self._bytes(name) for name in self.quantities(asked))

    def seeds_at_once(self) -> int:
        """Networks recorded in one write: a divisor of `seeds_per_cell`, so that no cells share a chunk."""
        block = self.study.ensemble.seeds_per_cell
        network = self.network_bytes()
        return max(
            n for n in range(1, block + 1) if block % n == 0 and (n == 1 or n * network <= WRITE_BYTES)
        )

    def blocks(self, cell: Cell) -> list[range]:
        """Seeds of a cell that are recorded in one write each."""
        size = self.seeds_at_once()
        starts = range(cell.start // size * size, cell.stop, size)
        return [range(max(start, cell.start), min(start + size, cell.stop)) for start in starts]

    def arrays(self) -> dict[str, ArrayPlan]:
        """Plan of every array with dimensions (width, seed, ...), `done` last."""
        plans = {name: self._quantity(name) for name in self.quantities()}
        ensemble = self.study.ensemble
        shape, chunks = (len(ensemble.widths), ensemble.most_networks), (1, ensemble.seeds_per_cell)
        for name, dtype, fill in (("diverged_at", "int32", -1), ("done", "bool", False)):
            plans[name] = ArrayPlan(BOOKKEEPING[name], RECORD_DIMS, shape, chunks, dtype, fill)
        return plans

    def _quantity(self, name: str) -> ArrayPlan:
        sizes, meant = self._sizes(), QUANTITIES[name]
        dims = RECORD_DIMS + meant.dims
        seeds = self.seeds_at_once()
        step_bytes = seeds * self._bytes(name) // sizes["step"]
        chunk_sizes = sizes | {"width": 1, "seed": seeds}
        chunk_sizes["step"] = max(1, min(sizes["step"], CHUNK_BYTES // max(step_bytes, 1)))
        shape, chunks = tuple(sizes[d] for d in dims), tuple(chunk_sizes[d] for d in dims)
        return ArrayPlan(meant, dims, shape, chunks, self.study.ensemble.precision, float("nan"))

    def _sizes(self) -> dict[str, int]:
        lengths = {name: len(values) for name, values in self.coordinates().items() if name != "split"}
        return lengths | {"split": len(set(self.points.splits))}

    def _bytes(self, name: str) -> int:
        """Size of one network's record of a quantity."""
        sizes = self._sizes()
        entries = math.prod(sizes[dim] for dim in QUANTITIES[name].dims)
        return entries * np.dtype(self.study.ensemble.precision).itemsize


def cells_of(stored: EnsembleSettings, asked: EnsembleSettings | None = None) -> list[Cell]:
    """Every cell of a store, or those of the widths and seeds that are `asked` for, which the store has."""
    wanted, block = asked or stored, stored.seeds_per_cell
    return [
        Cell(stored.widths.index(width), width, start, min(start + block, wanted.networks(width)))
        for width in wanted.widths
        for start in range(0, wanted.networks(width), block)
    ]


def families(ensemble: EnsembleSettings) -> Int[np.ndarray, "width seed"]:
    """The nested family of every network, 0, 1, ...; -1 where a width has no network.

    Network k of width N is neurons k N to (k + 1) N - 1 of one endless row, so that it does not depend on
    which other networks there are; a family is as many neurons of the row as the widest network has.

    >>> families(EnsembleSettings(widths=(2, 4), seeds=2, coupling="nested")).tolist()
    [[0, 0, 1, 1], [0, 1, -1, -1]]
    """
    widths, seed = np.array(ensemble.widths, np.int64)[:, None], np.arange(ensemble.most_networks)
    found = seed * widths // max(ensemble.widths)
    return np.where(found < ensemble.seeds, found, -1).astype(np.int32)


def _labels(values: Sequence) -> np.ndarray:
    """Names as an array that zarr keeps as texts, numbers as numbers."""
    return np.array(values, dtype=object if values and isinstance(values[0], str) else None)
