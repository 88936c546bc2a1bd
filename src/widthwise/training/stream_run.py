"""Networks of one block of seeds on their way through a stream, from the first step or from a checkpoint."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import jax
import jax.numpy as jnp
import numpy as np

from widthwise.data import Batch
from widthwise.progress import SILENT, Progress
from widthwise.records.schema import RECORDED_WITH, variable
from widthwise.training.checkpoint import Checkpoint
from widthwise.training.network import Trajectory, network_keys
from widthwise.training.numerics import numerics
from widthwise.training.stream_network import State, as_batch
from widthwise.training.stream_program import Chunk, StreamProgram, plan_chunks, stack_batches

Keep = Callable[[int, int, State], None]


def run_stream(
    program: StreamProgram,
    seeds: Sequence[int],
    checkpoint: Checkpoint | None = None,
    keep: Keep | None = None,
    progress: Progress = SILENT,
) -> Trajectory:
    """Train the networks of these seeds side by side, a chunk of steps each in turn, on the same batches.

    **Arguments:** `checkpoint`, where their states are kept from time to time, and found again; `keep`, told
    (seed, step, state) at every recorded step; `progress`, advanced by (networks times steps).
    **Returns:** every recorded quantity with leading axes seed and step. A network that is not finite at a
    recorded step is NaN from there on and trained no further.
    """
    run = _Run(program, list(seeds), keep)
    chunks = plan_chunks(program.study.recorded_steps(), program.chunk)
    found = checkpoint.load() if checkpoint else None
    done = run.restore(found) if found is not None else 0
    progress.advance(len(seeds) * sum(chunk.count for chunk in chunks[:done]))
    step = chunks[min(done, len(chunks) - 1)].step
    batches = program.stream.batches(step)
    with ThreadPoolExecutor(program.workers) as pool:
        for number, chunk in enumerate(chunks[done:], start=done + 1):
            if run.all_diverged():
                progress.advance(len(seeds) * sum(c.count for c in chunks[number - 1 :]))
                break
            taken = list(islice(batches, max(1, chunk.count)))
            run.take(chunk, taken, pool)
            progress.advance(len(seeds) * chunk.count)
            if checkpoint and chunk.count:
                checkpoint.maybe_save(lambda number=number: run.saved(number))
    return run.trajectory()


class _Run:
    """States of the networks, what is recorded so far, and where they diverged."""

    def __init__(self, program: StreamProgram, seeds: list[int], keep: Keep | None):
        self.program, self.seeds, self.keep = program, seeds, keep
        self.steps = program.study.recorded_steps()
        self.precision = program.study.ensemble.precision
        self.records = {
            name: np.full((len(seeds), len(self.steps), *shape), np.nan, self.precision)
            for name, shape in program.shapes.items()
        }
        self.diverged_at = np.full(len(seeds), -1, np.int32)
        with numerics(self.precision):
            keys = network_keys(program.study.ensemble.seed, np.array(seeds), program.width)
            self.states = [program.start(key) for key in keys]

    def all_diverged(self) -> bool:
        return bool((self.diverged_at >= 0).all())

    def take(self, chunk: Chunk, batches: list[Batch], pool: ThreadPoolExecutor) -> None:
        """Record, if the chunk says so, and train every healthy network."""
        with numerics(self.precision):
            rows = [as_batch(batch, self.precision) for batch in batches]
            first = Batch(*map(jnp.asarray, rows[0]))
            stacked = (
                Batch(*map(jnp.asarray, stack_batches(rows, self.program.chunk))) if chunk.count else None
            )
        healthy = [i for i in range(len(self.seeds)) if self.diverged_at[i] < 0]
        list(pool.map(lambda i: self._take(i, chunk, first, stacked), healthy))

    def _take(self, i: int, chunk: Chunk, first: Batch, stacked: Batch | None) -> None:
        with numerics(self.precision):
            if chunk.recorded:
                self._record(i, chunk.step, self.program.measure(self.states[i], first))
                if self.diverged_at[i] >= 0:
                    return
                if self.keep is not None:
                    self.keep(self.seeds[i], chunk.step, self.states[i])
            if stacked is not None:
                self.states[i] = self.program.advance(self.states[i], stacked, np.int32(chunk.count))

    def _record(self, i: int, step: int, values: dict[str, jax.Array]) -> None:
        found = {name: np.asarray(value) for name, value in values.items()}
        if not all(np.isfinite(found[name]).all() for name in ("prediction", "loss")):
            self.diverged_at[i] = step
            return
        at = int(np.searchsorted(self.steps, step))
        for name, value in found.items():
            self.records[name][i, at] = value

    def saved(self, chunks: int) -> dict[str, np.ndarray]:
        """Everything a resumed run needs, as flat arrays."""
        leaves = [jax.tree.leaves(state) for state in self.states]
        states = {f"state/{i}/{j}": np.asarray(x) for i, row in enumerate(leaves) for j, x in enumerate(row)}
        records = {f"record/{name}": rows for name, rows in self.records.items()}
        return {"chunks": np.array(chunks), "diverged_at": self.diverged_at, **records, **states}

    def restore(self, found: dict[str, np.ndarray]) -> int:
        """Go on from what was saved; returns how many chunks are done."""
        self.diverged_at = found["diverged_at"].copy()
        for name, rows in self.records.items():
            rows[...] = found[f"record/{name}"]
        for i, state in enumerate(self.states):
            structure = jax.tree.structure(state)
            with numerics(self.precision):
                leaves = [jnp.asarray(found[f"state/{i}/{j}"]) for j in range(structure.num_leaves)]
            self.states[i] = jax.tree.unflatten(structure, leaves)
        return int(found["chunks"])

    def trajectory(self) -> Trajectory:
        """What the study records, and what goes with it, the step where the schema has it."""
        asked = self.program.study.record.quantities
        beside = [name for quantity in asked for name in RECORDED_WITH.get(quantity, ())]
        wanted = {name: self.records[name] for name in (*asked, *beside)}
        axes = {name: 1 + variable(name).dims.index("step") for name in wanted}
        return Trajectory(
            {name: np.moveaxis(rows, 1, axes[name]) for name, rows in wanted.items()}, self.diverged_at
        )
