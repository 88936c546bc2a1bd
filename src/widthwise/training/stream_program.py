"""The training of one width on a stream, compiled once, for many seeds within bounded memory."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int, Key

from widthwise.data import Batch, Stream
from widthwise.study import Study
from widthwise.training.memory_limits import networks_at_once, networks_in_a_call, require_room
from widthwise.training.network import network_keys
from widthwise.training.numerics import numerics
from widthwise.training.recording import measure
from widthwise.training.sharding import everywhere, over_seeds, place, seed_mesh
from widthwise.training.stream_network import Samples, State, Trainer, as_batch, on_device, probe_samples

# Batches held at once, and the most steps between two looks at the clock.
CHUNK_BYTES, CHUNK_STEPS = 64 * 2**20, 64


class Chunk(NamedTuple):
    """`length` steps of training from `step` on, after recording at `step` if it is to be `recorded`."""

    step: int
    length: int
    recorded: bool


class StreamProgram(NamedTuple):
    """What was compiled for networks of one width; like the ends of chunks, it depends on the study alone.

    `start(keys)` gives the states of `together` networks, along a first axis; `advance(states, batches,
    begin, end)` trains them on batches `begin` to `end` - 1, using the states up; `measure(states, batch)` is
    what is recorded of them, arrays of `shapes` after the first axis, and their states after that batch,
    whose gradient serves both. `workers` such calls are made at the same time.
    """

    study: Study
    stream: Stream
    trainer: Trainer
    start: Callable[[Key[Array, "network"]], State]
    advance: Callable[[State, Samples, Int[Array, ""], Int[Array, ""]], State]
    measure: Callable[[State, Samples], tuple[dict[str, Array], State]]
    shapes: dict[str, tuple[int, ...]]
    chunk: int
    together: int
    workers: int
    mesh: Mesh | None

    @property
    def width(self) -> int:
        """N."""
        return self.trainer.width


def compile_stream_program(
    study: Study, stream: Stream, width: int, processors: int | None = None
) -> StreamProgram:
    """Compile drawing, training and recording of networks of one width; see `StreamProgram`.

    On a processor each call trains one network, and threads share the networks: batched by `vmap` a
    convolution takes two and a half times as long. Accelerators, and several devices, take many networks in
    a call.

    **Arguments:** `processors` to use at most, all if not given.
    **Errors:** `InputError` when one network does not fit into this machine's memory.
    """
    trainer = Trainer(study, stream.shape, stream.outputs, width)
    precision, mesh = study.ensemble.precision, seed_mesh()
    with numerics(precision):
        first = as_batch(next(stream.batches(0)), precision)
        probes = probe_samples(stream.probes, precision)
        chunk = chunk_steps(study, first)
        require_room(trainer, stream, probes)
        together = networks_in_a_call(trainer, mesh)
        batches = jax.eval_shape(
            lambda x: jax.tree.map(lambda y: jnp.stack([y] * chunk), x), on_device(first)
        )
        keys = network_keys(study.ensemble.seed, np.arange(together), width)

        def begin(keys: Key[Array, "network"]) -> State:
            return _each(lambda key: trainer.start(key, precision), keys)

        def advance(states: State, batches: Samples, begin: Int[Array, ""], end: Int[Array, ""]) -> State:
            def one(i: Int[Array, ""], state: State) -> State:
                return trainer.step(state, Samples(batches.inputs[i], batches.answers[i]))

            return _each(lambda state: jax.lax.fori_loop(begin, end, one, state), states)

        def look(points: Samples, states: State, batch: Samples) -> tuple[dict[str, Array], State]:
            def one(state: State) -> tuple[dict[str, Array], State]:
                return measure(trainer, stream.probes, state, batch, points), trainer.step(state, batch)

            return _each(one, states)

        # Each is compiled in a thread of its own; a lowering belongs to this one and its precision.
        count = jax.ShapeDtypeStruct((), jnp.int32)
        probes = place(probes, everywhere(mesh) if mesh else None)
        seeds, same = (over_seeds(mesh), everywhere(mesh)) if mesh else (None, None)
        states = jax.eval_shape(begin, keys)
        lowered = (
            _jit(begin, (seeds,), seeds).lower(keys),
            _jit(advance, (seeds, same, same, same), seeds, donate_argnums=0).lower(
                states, batches, count, count
            ),
            _jit(look, (same, seeds, same), seeds).lower(probes, states, on_device(first)),
        )
        with ThreadPoolExecutor(len(lowered)) as pool:
            start, train, seen = pool.map(lambda program: program.compile(), lowered)
    workers = networks_at_once([train, seen], states, width, processors) if together == 1 else 1
    shapes = {name: tuple(info.shape[1:]) for name, info in lowered[2].out_info[0].items()}
    return StreamProgram(
        study, stream, trainer, start, train, partial(seen, probes), shapes, chunk, together, workers, mesh
    )


def _each(function: Callable[[Any], Any], networks: Any) -> Any:
    """Of every network along the first axis; of a single one without the batching of its operations."""
    if jax.tree.leaves(networks)[0].shape[0] > 1:
        return jax.vmap(function)(networks)
    found = function(jax.tree.map(lambda x: x[0], networks))
    return jax.tree.map(lambda x: x[None], found)


def _jit(function: Callable, arguments: tuple, result: Any, **options: Any) -> Any:
    """Compiled for one device, or with the shardings of several."""
    if result is None:
        return jax.jit(function, **options)
    return jax.jit(function, in_shardings=arguments, out_shardings=result, **options)


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
