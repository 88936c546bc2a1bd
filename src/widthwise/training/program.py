"""The training of one width, compiled once, for many seeds within bounded memory."""

import hashlib
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
from widthwise.data.files import usable_bytes
from widthwise.networks import FamilyKey
from widthwise.study import Study
from widthwise.training.chunks import Cut, cut_of, plan_chunks
from widthwise.training.keys import keys_of
from widthwise.training.memory_limits import (
    networks_at_once,
    networks_in_a_call,
    tree_bytes,
)
from widthwise.training.recording import measure, see
from widthwise.training.sharding import place, seed_mesh, shardings
from widthwise.training.trainer import (
    Numbers,
    State,
    Trainer,
    as_batch,
    numerics,
    on_device,
    probe_batch,
)

Record = dict[str, Array]
Keys = Key[Array, "network"] | FamilyKey


class Compiler:
    """Compiles programs, each text once: what differs in learning rate or richness alone is one program."""

    def __init__(self):
        self.compiled: dict[str, Any] = {}

    def __call__(self, lowered: Any) -> Any:
        """The compiled program, a function of the arguments that `lowered` was lowered for."""
        # Arguments that a program does not use are not in its text, but among what it is called with.
        text = f"{lowered.in_tree}\n{lowered.as_text()}"
        name = hashlib.sha256(text.encode()).hexdigest()
        if name not in self.compiled:
            self.compiled[name] = lowered.compile()
        return self.compiled[name]


class Program(NamedTuple):
    """What was compiled for networks of one width; like the ends of chunks, it depends on the study alone.

    `start(keys)` gives the states of `together` networks, along a first axis; `advance(states, batches,
    begin, end)` trains them on batches `begin` to `end` - 1, using the states up (None where every call
    records); `visit(states, batches, edges, count)` records them before each of the first `count` batches of
    `edges` and trains them up to the one after, and gives records, arrays of `shapes` after the first axis
    (network) and the second (the most that are recorded in a call), and states. `workers` such calls are made
    at the same time, and the states of `held` are in memory: of those that run, or what half of it holds.
    """

    study: Study
    stream: Stream
    trainer: Trainer
    start: Callable[[Keys], State]
    advance: Callable[[State, Batch, Int[Array, ""], Int[Array, ""]], State] | None
    visit: Callable[[State, Batch, Int[Array, "edge"], Int[Array, ""]], tuple[Record, State]]
    shapes: dict[str, tuple[int, ...]]
    cut: Cut
    together: int
    workers: int
    held: int
    mesh: Mesh | None

    @property
    def width(self) -> int:
        """N, neurons of a hidden layer or channels, as the study counts them."""
        return self.trainer.width


def compile_program(
    study: Study,
    stream: Stream,
    width: int,
    processors: int | None = None,
    *,
    compiler: Compiler | None = None,
) -> Program:
    """Compile drawing, training and recording of networks of one width; see `Program`.

    On a processor each call trains one network, and threads share the networks: batched by `vmap` a
    convolution takes two and a half times as long, and small operations leave cores idle. Accelerators, and
    several devices, take many networks in a call.

    **Arguments:** `processors` to use at most, all if not given; `compiler`, if what was compiled for another
    study is to be used again.
    **Errors:** `InputError` when one network does not fit into this machine's memory.
    """
    trainer, compiler = Trainer(study, stream.probes, width), compiler or Compiler()
    precision, mesh = study.ensemble.precision, seed_mesh()
    with numerics(precision):
        first = as_batch(next(stream.batches(0)), precision)
        points, values = probe_batch(stream.probes, precision), trainer.numbers()
        together = networks_in_a_call(trainer, mesh)
        keys = keys_of(study.ensemble, np.arange(together), width)
        begin, train, look = functions(trainer)
        states = jax.eval_shape(begin, values, keys)
        batch = on_device(first, precision)
        short = partial(look, most=1, between=False)
        shapes = jax.eval_shape(short, values, points, states, _rows(batch, 1), *_spans(1))[0]
        weights = sum(leaf.size for leaf in jax.tree.leaves(states.weights)) // together
        cut = cut_of(study, first, weights, tree_bytes(shapes) // together)
        recording, training = (_rows(batch, rows) for rows in cut.rows(trainer.full_batch))
        chunks = plan_chunks(study.recorded_steps(), cut)
        between = any(chunk.length > len(chunk.recorded) > 0 for chunk in chunks)
        look = partial(look, most=cut.records, between=between)
        # Each is compiled in a thread of its own; a lowering belongs to this one and its precision.
        seeds, same = shardings(mesh)
        values, points = place((values, points), same)
        edges, count = _spans(cut.records)
        lowered = [
            _jit(begin, (same, seeds), seeds).lower(values, keys),
            _jit(look, (same, same, seeds, same, same, same), seeds, donate_argnums=2).lower(
                values, points, states, recording, edges, count
            ),
        ]
        if any(not chunk.recorded for chunk in chunks):
            jitted = _jit(train, (same, seeds, same, same, same), seeds, donate_argnums=1)
            lowered.append(jitted.lower(values, states, training, count, count))
        with ThreadPoolExecutor(len(lowered)) as pool:
            compiled = list(pool.map(compiler, lowered))
    workers = networks_at_once(compiled[1:], states, width, processors) if together == 1 else 1
    start, visit, advance = [*compiled, None][:3]
    return Program(
        study,
        stream,
        trainer,
        start=partial(start, values),
        advance=advance and partial(advance, values),
        visit=partial(visit, values, points),
        shapes={name: tuple(info.shape[2:]) for name, info in shapes.items()},
        cut=cut,
        together=together,
        workers=workers,
        held=max(workers, usable_bytes() // (2 * tree_bytes(states))),
        mesh=mesh,
    )


def functions(trainer: Trainer) -> tuple[Callable, Callable, Callable]:
    """What is compiled: drawing, training, and recording with training in between; see `Program`.

    Each takes the trainer's numbers first; the last then takes the recorded points, `most`, the records that
    it has room for, and `between`, whether it trains on between them.
    """
    precision, full = trainer.study.ensemble.precision, trainer.full_batch

    def begin(values: Numbers, keys: Keys) -> State:
        return _each(lambda key: trainer.with_numbers(values).start(key, precision), keys)

    def steps(own: Trainer, state: State, batches: Batch) -> tuple[Callable, Callable]:
        """Batch i and its base, and one step on it. In full batches nothing about it changes."""
        base = own.base(state, batches.inputs[0]) if full else None

        def row(i: Int[Array, ""]) -> tuple[Batch, Array | None]:
            batch = Batch(*(x[0 if full else i] for x in batches))
            return batch, base if full else own.base(state, batch.inputs)

        return row, lambda i, moving: own.apply(moving, own.move(moving, *row(i)))

    def train(
        values: Numbers, states: State, batches: Batch, begin: Int[Array, ""], end: Int[Array, ""]
    ) -> State:
        def network(state: State) -> State:
            step = steps(trainer.with_numbers(values), state, batches)[1]
            return jax.lax.fori_loop(begin, end, step, state)

        return _each(network, states)

    def look(
        values: Numbers,
        points: Batch,
        states: State,
        batches: Batch,
        edges: Int[Array, "edge"],
        count: Int[Array, ""],
        *,
        most: int,
        between: bool,
    ) -> tuple[Record, State]:
        own = trainer.with_numbers(values)

        def network(state: State) -> tuple[Record, State]:
            row, step = steps(own, state, batches)
            seen = see(own, state, points)

            def record(state: State, i: Int[Array, ""]) -> tuple[Record, State]:
                batch, base = row(i)
                move = own.move(state, batch, base)
                return measure(own, state, seen, (batch, base, move)), own.apply(state, move)

            def one(j: Int[Array, ""], carry: tuple[Record, State]) -> tuple[Record, State]:
                kept, state = carry
                values, state = record(state, edges[j])
                kept = jax.tree.map(lambda rows, value: rows.at[j].set(value), kept, values)
                if between:
                    state = jax.lax.fori_loop(edges[j] + 1, edges[j + 1], step, state)
                return kept, state

            if most == 1 and not between:
                found, state = record(state, edges[0])
                return jax.tree.map(lambda value: value[None], found), state
            infos = jax.eval_shape(record, state, edges[0])[0]
            empty = jax.tree.map(lambda info: jnp.zeros((most, *info.shape), info.dtype), infos)
            return jax.lax.fori_loop(0, count, one, (empty, state))

        return _each(network, states)

    return begin, train, look


def _rows(batch: Batch, rows: int) -> Batch:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((rows, *x.shape), x.dtype), batch)


def _spans(most: int) -> tuple[jax.ShapeDtypeStruct, jax.ShapeDtypeStruct]:
    return jax.ShapeDtypeStruct((most + 1,), jnp.int32), jax.ShapeDtypeStruct((), jnp.int32)


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
