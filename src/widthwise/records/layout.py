"""How one study's records are laid out: coordinates, array shapes, and which chunks belong to which cell."""

import hashlib
import math
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from widthwise.records.schema import BOOKKEEPING, COORDINATES, RECORD_DIMS, VARIABLES, Variable
from widthwise.study import Study
from widthwise.study.study import Part

# What the training depends on: the tables that a store must agree on with the study that writes to it.
TRAINING_TABLES: tuple[Part, ...] = ("data", "network", "training", "ensemble", "record")

# A chunk of the store, and what is held in memory before it is written, is kept below these where a single
# step (a single network) allows.
CHUNK_BYTES = 64 * 2**20
WRITE_BYTES = 512 * 2**20


@runtime_checkable
class RecordedPoints(Protocol):
    """What records keep of the points."""

    @property
    def targets(self) -> Float[np.ndarray, "point output"]:
        """y."""
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
    """The plan of a store, a pure function of study and points."""

    study: Study
    points: RecordedPoints

    def training_hash(self) -> str:
        """Content hash (hex, 64 digits) of everything the recorded numbers depend on."""
        both = self.study.hash(*TRAINING_TABLES) + self.points.digest()
        return hashlib.sha256(both.encode()).hexdigest()

    def coordinates(self) -> dict[str, np.ndarray]:
        """Values of every coordinate, by name."""
        study, (points, outputs) = self.study, self.points.targets.shape
        return {
            "width": np.array(study.ensemble.widths),
            "seed": np.arange(study.ensemble.seeds),
            "step": study.recorded_steps(),
            "point": np.arange(points),
            "point_b": np.arange(points),
            "output": np.arange(outputs),
            "layer": np.arange(1, study.network.hidden_layers + 1),
            "split": np.array(self.points.splits, dtype=object),
        }

    def cells(self) -> list[Cell]:
        """Every cell, widths in the order of the study."""
        seeds, block = self.study.ensemble.seeds, self.study.ensemble.seeds_per_cell
        return [
            Cell(index, width, start, min(start + block, seeds))
            for index, width in enumerate(self.study.ensemble.widths)
            for start in range(0, seeds, block)
        ]

    def seeds_at_once(self) -> int:
        """Networks recorded in one write: a divisor of `seeds_per_cell`, so that no cells share a chunk."""
        block = self.study.ensemble.seeds_per_cell
        network = sum(self._bytes(name) for name in self.study.record.quantities)
        return max(
            n for n in range(1, block + 1) if block % n == 0 and (n == 1 or n * network <= WRITE_BYTES)
        )

    def arrays(self) -> dict[str, ArrayPlan]:
        """Plan of every array with dimensions (width, seed, ...), `done` last."""
        plans = {name: self._quantity(name) for name in self.study.record.quantities}
        sizes = self._sizes()
        shape = tuple(sizes[dim] for dim in RECORD_DIMS)
        chunks = (1, self.study.ensemble.seeds_per_cell)
        plans["diverged_at"] = ArrayPlan(BOOKKEEPING["diverged_at"], RECORD_DIMS, shape, chunks, "int32", -1)
        plans["done"] = ArrayPlan(BOOKKEEPING["done"], RECORD_DIMS, shape, chunks, "bool", False)
        return plans

    def _quantity(self, name: str) -> ArrayPlan:
        sizes, variable = self._sizes(), VARIABLES[name]
        dims = RECORD_DIMS + variable.dims
        seeds = self.seeds_at_once()
        step_bytes = seeds * self._bytes(name) // sizes["step"]
        chunk_sizes = sizes | {"width": 1, "seed": seeds}
        chunk_sizes["step"] = max(1, min(sizes["step"], CHUNK_BYTES // max(step_bytes, 1)))
        shape, chunks = tuple(sizes[d] for d in dims), tuple(chunk_sizes[d] for d in dims)
        return ArrayPlan(variable, dims, shape, chunks, self.study.ensemble.precision, float("nan"))

    def _sizes(self) -> dict[str, int]:
        sizes = {name: len(values) for name, values in self.coordinates().items() if name != "split"}
        return sizes | {"split": len(set(self.points.splits))}

    def _bytes(self, name: str) -> int:
        """Size of one network's record of a quantity."""
        sizes = self._sizes()
        entries = math.prod(sizes[dim] for dim in VARIABLES[name].dims)
        return entries * np.dtype(self.study.ensemble.precision).itemsize


def coordinate_dims(name: str) -> tuple[str, ...]:
    """Dimensions of a coordinate: its own name, but `point` for `split`."""
    return COORDINATES[name].dims
