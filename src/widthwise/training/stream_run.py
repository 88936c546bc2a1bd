"""Networks of one block of seeds on their way through a stream, from the first step or from a checkpoint."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from widthwise.data import Batch
from widthwise.progress import SILENT, Progress
from widthwise.records.schema import RECORDED_WITH, variable
from widthwise.training.network import Trajectory, network_keys
from widthwise.training.numerics import numerics
from widthwise.training.sharding import everywhere, over_seeds, place
from widthwise.training.stream_network import Samples, Tree, as_batch, on_device
from widthwise.training.stream_program import Chunk, StreamProgram, plan_chunks, stack_batches

Keep = Callable[[int, int, Tree], None]


@runtime_checkable
class Resumable(Protocol):
    """Where the state of a run is kept; see `checkpoint.py`."""

    def load(self) -> Mapping[str, np.ndarray] | None:
        """The last state, if there is one."""
        ...

    def maybe_save(self, state: Callable[[], Mapping[str, np.ndarray]]) -> bool:
        """Keep the state, if it is time to; returns whether it was."""
        ...


def run_stream(
    program: StreamProgram,
    seeds: Sequence[int],
    checkpoint: Resumable | None = None,
    keep: Keep | None = None,
    progress: Progress = SILENT,
) -> Trajectory:
    """Train the networks of these seeds side by side, a chunk of steps each in turn, on the same batches.

    **Arguments:** `checkpoint`, where their states are kept from time to time, and found again; `keep`, told
    (seed, step, weights) at every recorded step; `progress`, advanced by (networks times steps).
    **Returns:** every recorded quantity with leading axes seed and step. A network that is not finite at a
    recorded step is NaN from there on and trained no further.
    """
    run = _Run(program, list(seeds), keep)
    chunks = plan_chunks(program.study.recorded_steps(), program.chunk)
    found = checkpoint.load() if checkpoint else None
    done = run.restore(found) if found is not None else 0
    progress.advance(len(seeds) * sum(chunk.length for chunk in chunks[:done]))
    batches = program.stream.batches(chunks[min(done, len(chunks) - 1)].step)
    with ThreadPoolExecutor(program.workers) as pool:
        for number, chunk in enumerate(chunks[done:], start=done + 1):
            if run.all_diverged():
                progress.advance(len(seeds) * sum(c.length for c in chunks[number - 1 :]))
                break
            taken = list(islice(batches, max(1, chunk.length)))
            run.take(chunk, taken, pool)
            progress.advance(len(seeds) * chunk.length)
            if checkpoint and chunk.length:
                checkpoint.maybe_save(lambda number=number: run.saved(number))
    return run.trajectory()


class _Run:
    """States of the networks in groups, what is recorded so far, and where they diverged."""

    def __init__(self, program: StreamProgram, seeds: list[int], keep: Keep | None):
        self.program, self.seeds, self.keep = program, seeds, keep
        self.steps = program.study.recorded_steps()
        self.precision = program.study.ensemble.precision
        self.records = {
            name: np.full((len(seeds), len(self.steps), *shape), np.nan, self.precision)
            for name, shape in program.shapes.items()
        }
        self.diverged_at = np.full(len(seeds), -1, np.int32)
        size, mesh = program.together, program.mesh
        # The last group is filled up with its last seed, of which nothing is recorded twice.
        self.groups = [range(i, min(i + size, len(seeds))) for i in range(0, len(seeds), size)]
        filled = [np.array(seeds)[np.minimum(g.start + np.arange(size), g.stop - 1)] for g in self.groups]
        self.over, self.same = (over_seeds(mesh), everywhere(mesh)) if mesh else (None, None)
        with numerics(self.precision):
            keys = [network_keys(program.study.ensemble.seed, group, program.width) for group in filled]
            self.states = [program.start(place(group, self.over)) for group in keys]

    def all_diverged(self) -> bool:
        return bool((self.diverged_at >= 0).all())

    def take(self, chunk: Chunk, batches: list[Batch], pool: ThreadPoolExecutor) -> None:
        """Record, if the chunk says so, and train every group with a healthy network."""
        with numerics(self.precision):
            rows = [as_batch(batch, self.precision) for batch in batches]
            first = self._placed(rows[0])
            stacked = self._placed(stack_batches(rows, self.program.chunk)) if chunk.length else None
        healthy = [g for g, group in enumerate(self.groups) if (self.diverged_at[group] < 0).any()]
        list(pool.map(lambda g: self._take(g, chunk, first, stacked), healthy))

    def _placed(self, batch: Batch) -> Samples:
        return place(on_device(batch), self.same)

    def _take(self, g: int, chunk: Chunk, first: Samples, stacked: Samples | None) -> None:
        with numerics(self.precision):
            done = 0
            if chunk.recorded:
                values, after = self.program.measure(self.states[g], first)
                self._record(g, chunk.step, values)
                if (self.diverged_at[self.groups[g]] >= 0).all():
                    return
                if chunk.length:  # not after the last recorded step
                    self.states[g], done = after, 1
            if stacked is not None and done < chunk.length:
                span = jnp.int32(done), jnp.int32(chunk.length)
                moved = self.program.advance(self.states[g], stacked, *span)
                # What one thread hands over is computed in turn: this one waits, another takes the next.
                self.states[g] = jax.block_until_ready(moved)

    def _record(self, g: int, step: int, values: dict[str, Array]) -> None:
        found = {name: np.asarray(value) for name, value in values.items()}
        at = int(np.searchsorted(self.steps, step))
        for place_in_group, i in enumerate(self.groups[g]):
            if self.diverged_at[i] >= 0:
                continue
            own = {name: value[place_in_group] for name, value in found.items()}
            if not all(np.isfinite(own[name]).all() for name in ("prediction", "loss")):
                self.diverged_at[i] = step
                continue
            for name, value in own.items():
                self.records[name][i, at] = value
            if self.keep is not None:
                weights = jax.tree.map(lambda x, n=place_in_group: x[n], self.states[g].weights)
                self.keep(self.seeds[i], step, weights)

    def saved(self, chunks: int) -> dict[str, np.ndarray]:
        """Everything a resumed run needs, as flat arrays."""
        leaves = [jax.tree.leaves(states) for states in self.states]
        states = {f"state/{g}/{j}": np.asarray(x) for g, row in enumerate(leaves) for j, x in enumerate(row)}
        records = {f"record/{name}": rows for name, rows in self.records.items()}
        return {"chunks": np.array(chunks), "diverged_at": self.diverged_at, **records, **states}

    def restore(self, found: Mapping[str, np.ndarray]) -> int:
        """Go on from what was saved; returns how many chunks are done."""
        self.diverged_at = found["diverged_at"].copy()
        for name, rows in self.records.items():
            rows[...] = found[f"record/{name}"]
        with numerics(self.precision):
            for g, states in enumerate(self.states):
                structure = jax.tree.structure(states)
                leaves = [jnp.asarray(found[f"state/{g}/{j}"]) for j in range(structure.num_leaves)]
                self.states[g] = place(jax.tree.unflatten(structure, leaves), self.over)
        return int(found["chunks"])

    def trajectory(self) -> Trajectory:
        """What the study records, and what goes with it, the step where the schema has it."""
        asked = self.program.study.record.quantities
        beside = [name for quantity in asked for name in RECORDED_WITH.get(quantity, ())]
        wanted = {name: self.records[name] for name in (*asked, *beside)}
        axes = {name: 1 + variable(name).dims.index("step") for name in wanted}
        found: dict[str, Any] = {name: np.moveaxis(rows, 1, axes[name]) for name, rows in wanted.items()}
        diverged_at: Any = self.diverged_at
        return Trajectory(found, diverged_at)
