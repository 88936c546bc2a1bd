"""Networks of one block of seeds on their way, from the first step or from a checkpoint."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from widthwise.data import Batch
from widthwise.progress import SILENT, Progress
from widthwise.records.schema import QUANTITIES, with_errors
from widthwise.training.chunks import Chunk, plan_chunks, units_of
from widthwise.training.keys import keys_of
from widthwise.training.program import Program
from widthwise.training.sharding import place, shardings
from widthwise.training.trainer import State, Tree, numerics, on_device

Keep = Callable[[int, int, Tree], None]


class Trajectory(NamedTuple):
    """What networks did. `quantities` by name, seed first, then as in the schema; `diverged_at` is the first
    recorded step at which anything was not finite, -1 if none, and everything is NaN from there on."""

    quantities: dict[str, Float[Any, "seed ..."]]
    diverged_at: Int[Any, " seed"]


@runtime_checkable
class Resumable(Protocol):
    """Where the state of a run is kept; see `checkpoint.py`."""

    def load(self) -> Mapping[str, np.ndarray] | None:
        """The last state, if there is one."""
        ...

    def maybe_save(self, state: Callable[[], Mapping[str, np.ndarray]]) -> bool:
        """Keep the state, if it is time to; returns whether it was."""
        ...


def run_networks(
    program: Program,
    seeds: Sequence[int],
    checkpoint: Resumable | None = None,
    keep: Keep | None = None,
    progress: Progress = SILENT,
) -> Trajectory:
    """Train the networks of these seeds side by side, a chunk of steps each in turn, on the same batches; as
    many at a time as memory holds.

    **Arguments:** `checkpoint`, where their states are kept from time to time, and found again; `keep`, told
    (seed, step, weights) at every recorded step that begins a chunk; `progress`, advanced by networks times
    `units_of` the study.
    **Returns:** every recorded quantity with leading axes seed and step. A network that is not finite at a
    recorded step is NaN from there on and trained no further.
    """
    run = _Run(program, list(seeds), keep)
    found = checkpoint.load() if checkpoint else None
    if found is not None:
        run.restore(found)
    with ThreadPoolExecutor(program.workers) as pool:
        run.tell(progress)
        while run.wave:
            batches = program.stream.batches(run.chunks[min(run.done, len(run.chunks) - 1)].step)
            for chunk in run.chunks[run.done :]:
                if run.all_diverged():
                    break
                run.take(chunk, list(islice(batches, max(1, chunk.length))), pool)
                run.tell(progress)
                if checkpoint and chunk.length:
                    checkpoint.maybe_save(run.saved)
            run.next_wave()
            run.tell(progress)
    return run.trajectory()


class _Run:
    """What is recorded of the networks so far, where they diverged, and the states of those under way: a
    `wave` of groups, each of which shares a call, `done` chunks along."""

    def __init__(self, program: Program, seeds: list[int], keep: Keep | None):
        self.program, self.seeds, self.keep = program, seeds, keep
        self.chunks = plan_chunks(program.study.recorded_steps(), program.cut)
        self.steps = program.study.recorded_steps()
        self.precision = program.study.ensemble.precision
        self.records = {
            name: np.full((len(seeds), len(self.steps), *shape), np.nan, self.precision)
            for name, shape in program.shapes.items()
        }
        self.diverged_at = np.full(len(seeds), -1, np.int32)
        size, mesh = program.together, program.mesh
        self.groups = [range(i, min(i + size, len(seeds))) for i in range(0, len(seeds), size)]
        self.over, self.same = shardings(mesh)
        self.states: dict[int, State] = {}
        self.wave, self.told = range(0), 0
        self.next_wave()

    def next_wave(self) -> None:
        """Draw the next networks, as many as are held at once; none if all are trained."""
        start = self.wave.stop
        self.wave, self.done = range(start, min(start + self.program.held, len(self.groups))), 0
        with numerics(self.precision):
            self.states = {g: self._drawn(g) for g in self.wave}

    def _drawn(self, g: int) -> State:
        # The last group is filled up with its last seed, of which nothing is recorded twice.
        program, group = self.program, self.groups[g]
        places = np.minimum(group.start + np.arange(program.together), group.stop - 1)
        keys = keys_of(program.study.ensemble, np.array(self.seeds)[places], program.width)
        return program.start(place(keys, self.over))

    def tell(self, progress: Progress) -> None:
        """Units of progress since the last time: of networks that are trained, and of those under way."""
        sizes = [len(group) for group in self.groups]
        before, here = sum(sizes[: self.wave.start]), sum(sizes[self.wave.start : self.wave.stop])
        units, steps = units_of(self.program.study), sum(chunk.length for chunk in self.chunks)
        done = sum(chunk.length for chunk in self.chunks[: self.done])
        told = before * units + here * (done if units == steps else 0)
        progress.advance(told - self.told)
        self.told = told

    def all_diverged(self) -> bool:
        return all((self.diverged_at[self.groups[g]] >= 0).all() for g in self.wave)

    def take(self, chunk: Chunk, batches: list[Batch], pool: ThreadPoolExecutor) -> None:
        """Train every group with a healthy network, and record it where the chunk says so."""
        program = self.program
        with numerics(self.precision):
            rows = program.cut.rows(program.trainer.full_batch)[0 if chunk.recorded else 1]
            stacked = on_device(stack_batches(batches[:rows], rows), self.precision)
            stacked = place(stacked, self.same)
        healthy = [g for g in self.wave if (self.diverged_at[self.groups[g]] < 0).any()]
        list(pool.map(lambda g: self._take(g, chunk, stacked), healthy))
        self.done += 1

    def _take(self, g: int, chunk: Chunk, batches: Batch) -> None:
        program, state = self.program, self.states[g]
        with numerics(self.precision):
            if not chunk.recorded:
                assert program.advance is not None
                state = program.advance(state, batches, jnp.int32(0), jnp.int32(chunk.length))
            else:
                kept = chunk.step in program.cut.apart and self.keep is not None
                weights = jax.tree.map(np.asarray, state.weights) if kept else None
                count, room = len(chunk.recorded), program.cut.records
                edges = np.full(room + 1, chunk.length, np.int32)
                edges[:count] = chunk.recorded
                values, state = program.visit(state, batches, jnp.asarray(edges), jnp.int32(count))
                self._record(g, chunk, values, weights)
            # What one thread hands over is computed in turn: this one waits, another takes the next.
            self.states[g] = jax.block_until_ready(state)

    def _record(self, g: int, chunk: Chunk, values: dict[str, Array], weights: Tree | None) -> None:
        at, count = int(np.searchsorted(self.steps, chunk.step)), len(chunk.recorded)
        found = {name: np.asarray(value)[:, :count] for name, value in values.items()}
        for place_in_group, i in enumerate(self.groups[g]):
            if self.diverged_at[i] >= 0:
                continue
            own = {name: value[place_in_group] for name, value in found.items()}
            finite = [np.isfinite(value).reshape(count, -1).all(axis=1) for value in own.values()]
            healthy = np.logical_and.reduce(finite)
            good = count if healthy.all() else int(healthy.argmin())
            for name, value in own.items():
                self.records[name][i, at : at + good] = value[:good]
            if good < count:
                self.diverged_at[i] = self.steps[at + good]
            if good and weights is not None and self.keep is not None:
                self.keep(self.seeds[i], chunk.step, jax.tree.map(lambda x, n=place_in_group: x[n], weights))

    def saved(self) -> dict[str, np.ndarray]:
        """Everything a resumed run needs, as flat arrays."""
        states = {
            f"state/{g}/{j}": np.asarray(leaf)
            for g, state in self.states.items()
            for j, leaf in enumerate(jax.tree.leaves(state))
        }
        records = {f"record/{name}": rows for name, rows in self.records.items()}
        place = {"chunks": np.array(self.done), "wave": np.array([self.wave.start, self.wave.stop])}
        return {**place, "diverged_at": self.diverged_at, **records, **states}

    def restore(self, found: Mapping[str, np.ndarray]) -> None:
        """Go on from what was saved."""
        self.diverged_at = found["diverged_at"].copy()
        for name, rows in self.records.items():
            rows[...] = found[f"record/{name}"]
        structure = jax.tree.structure(self.states[0])
        self.done, self.wave = int(found["chunks"]), range(*(int(g) for g in found["wave"]))
        with numerics(self.precision):
            for g in self.wave:
                leaves = [jnp.asarray(found[f"state/{g}/{j}"]) for j in range(structure.num_leaves)]
                self.states[g] = place(jax.tree.unflatten(structure, leaves), self.over)
        self.states = {g: self.states[g] for g in self.wave}

    def trajectory(self) -> Trajectory:
        """What the study records, and what goes with it, the step where the schema has it."""
        wanted = {name: self.records[name] for name in with_errors(self.program.study.record.quantities)}
        axes = {name: 1 + QUANTITIES[name].dims.index("step") for name in wanted}
        found = {name: np.moveaxis(rows, 1, axes[name]) for name, rows in wanted.items()}
        return Trajectory(found, self.diverged_at)


def stack_batches(batches: list[Batch], length: int) -> Batch:
    """Batches along a new first axis, filled up with the last one to `length`."""
    rows = [*batches, *batches[-1:] * (length - len(batches))]
    return Batch(*(np.stack(parts) for parts in zip(*rows, strict=True)))
