"""The training of one width on a stream, compiled once, for many seeds within bounded memory."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key

from widthwise.data import Batch, Stream
from widthwise.errors import InputError
from widthwise.records.evidence import usable_processors
from widthwise.study import Study
from widthwise.training.network import network_keys
from widthwise.training.numerics import numerics
from widthwise.training.recording import measure
from widthwise.training.stream_network import State, Trainer, as_batch, probe_batch

# Batches held at once, and the most steps between two looks at the clock.
CHUNK_BYTES, CHUNK_STEPS = 64 * 2**20, 64
SHARE = 0.8  # of the machine's memory that the networks of a cell may take


class Chunk(NamedTuple):
    """`count` steps of training from `step` on, after recording at `step` if it is to be `recorded`."""

    step: int
    count: int
    recorded: bool


class StreamProgram(NamedTuple):
    """What was compiled for networks of one width; like the ends of chunks, it depends on the study alone.

    `start(key)` gives a `State`, `advance(state, batches, count)` trains it, using it up, and
    `measure(state, batch)` is what is recorded of it, arrays of `shapes`.
    """

    study: Study
    stream: Stream
    trainer: Trainer
    start: Callable[[Key[Array, ""]], State]
    advance: Callable[[State, Batch, Int[Array, ""]], State]
    measure: Callable[[State, Batch], dict[str, Array]]
    shapes: dict[str, tuple[int, ...]]
    chunk: int
    workers: int

    @property
    def width(self) -> int:
        """N."""
        return self.trainer.width


def compile_stream_program(study: Study, stream: Stream, width: int) -> StreamProgram:
    """Compile drawing, training and recording of networks of one width; see `StreamProgram`.

    **Errors:** `InputError` when one network does not fit into this machine's memory.
    """
    trainer = Trainer(study, stream.shape, stream.outputs, width)
    precision = study.ensemble.precision
    with numerics(precision):
        first = as_batch(next(stream.batches(0)), precision)
        probes = probe_batch(stream.probes, precision)
        chunk = chunk_steps(study, first)
        batches = Batch(*(jax.ShapeDtypeStruct((chunk, *x.shape), x.dtype) for x in first))
        key = network_keys(study.ensemble.seed, np.arange(1), width)[0]
        state = jax.eval_shape(lambda key: trainer.start(key, precision), key)
        count = jax.ShapeDtypeStruct((), jnp.int32)

        def advance(state: State, batches: Batch, count: Int[Array, ""]) -> State:
            def one(i: Int[Array, ""], state: State) -> State:
                return trainer.step(state, Batch(batches.inputs[i], batches.answers[i]))

            return jax.lax.fori_loop(0, count, one, state)

        def look(points: Batch, state: State, batch: Batch) -> dict[str, Array]:
            return measure(trainer, stream.probes, state, batch, points)

        # Each is compiled in a thread of its own; a lowering belongs to this one and its precision.
        lowered = (
            jax.jit(lambda key: trainer.start(key, precision)).lower(key),
            jax.jit(advance, donate_argnums=0).lower(state, batches, count),
            jax.jit(look).lower(probes, state, first),
        )
        with ThreadPoolExecutor(len(lowered)) as pool:
            start, train, seen = pool.map(lambda program: program.compile(), lowered)
    workers = _workers([train, seen], state, width)
    shapes = {name: info.shape for name, info in lowered[2].out_info.items()}
    return StreamProgram(study, stream, trainer, start, train, partial(seen, probes), shapes, chunk, workers)


def chunk_steps(study: Study, batch: Batch) -> int:
    """Steps whose batches are held at once: no more than fit, or than lie between two recorded steps."""
    longest = int(np.diff(study.recorded_steps(), prepend=0).max(initial=1))
    held = sum(np.asarray(x).nbytes for x in batch)
    return max(1, min(CHUNK_STEPS, CHUNK_BYTES // max(held, 1), longest))


def plan_chunks(steps: Int[np.ndarray, "step"], longest: int) -> list[Chunk]:
    """All of a training up to its last recorded step, in order.

    >>> [tuple(chunk) for chunk in plan_chunks(np.array([0, 5]), 3)]
    [(0, 3, True), (3, 2, False), (5, 0, True)]
    """
    chunks = []
    edges = [int(step) for step in steps]
    for begin, end in zip([0, *edges], edges, strict=False):
        for step in range(begin, end, longest):
            chunks.append(Chunk(step, min(longest, end - step), step in edges))
    return [*chunks, Chunk(edges[-1], 0, True)]


def stack_batches(batches: list[Batch], length: int) -> Batch:
    """Batches along a new first axis, filled up with the last one to `length`."""
    rows = [*batches, *batches[-1:] * (length - len(batches))]
    return Batch(*(np.stack(parts) for parts in zip(*rows, strict=True)))


def _workers(programs: list[Any], state: Any, width: int) -> int:
    """Networks trained at the same time: one a processor, as many as memory allows."""
    own = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    temporary = max(int(program.memory_analysis().temp_size_in_bytes) for program in programs)
    available = int(SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    if own + temporary > available:
        raise InputError(
            f"one network of width {width} takes {own / 1e9:.1f} GB, and a step of it "
            f"{temporary / 1e9:.1f} GB more; {available / 1e9:.1f} GB may be used: lower `ensemble.widths`, "
            "`training.batch`, `record.train_points` or `data.test`"
        )
    if jax.default_backend() != "cpu":
        return 1
    return max(1, min(usable_processors(), (available - own) // max(temporary, 1)))
