"""Memory of training: what is refused before compiling, and how many networks run at once."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from widthwise.data import Batch, Stream
from widthwise.data.files import usable_bytes
from widthwise.errors import InputError
from widthwise.records import Layout
from widthwise.records.evidence import usable_processors
from widthwise.training.keys import keys_of
from widthwise.training.measures import OF_TANGENT_KERNEL, Sizes, choose_block, require_memory_to_measure
from widthwise.training.sharding import shareable
from widthwise.training.trainer import State, Trainer

TANGENT_BYTES = 2**29  # for the gradients of the tangent kernel
BUDGET_BYTES = 2**31  # what networks of one call may take together
COPIES = 8  # of a network's state that training it takes on an accelerator, about


def require_memory(trainer: Trainer, stream: Stream, points: Batch) -> Sizes:
    """Refuse, before anything is compiled, weights and recorded quantities that cannot fit.

    **Returns:** the sizes that decided.
    **Errors:** `InputError` with what is needed and what is there.
    """
    state = state_shapes(trainer)
    weights, available = tree_bytes(state), usable_bytes()
    if weights > available:
        raise InputError(
            f"one network of width {trainer.width} takes {weights / 1e9:.1f} GB, and "
            f"{available / 1e9:.1f} GB may be used: lower `ensemble.widths`"
        )
    trace = jax.eval_shape(lambda weights, inputs: weights.trace(inputs), state.weights, points.inputs)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.weights))
    count, record = len(points.inputs), trainer.study.record
    attention = next(iter(trace.attention.values()), None)
    by_gradients = set(OF_TANGENT_KERNEL) & set(record.quantities) and trainer.study.network.kind != "mlp"
    sizes = Sizes(
        parameters=parameters,
        tensors=len(jax.tree.leaves(state.weights)),
        points=count,
        train=stream.probes.train,
        outputs=trainer.outputs,
        layers=len(trace.layers),
        neurons=sum(layer.preactivation.size for layer in trace.layers.values()) // count,
        attention=len(trace.attention),
        heads=0 if attention is None else attention.shape[1],
        positions=0 if attention is None else attention.shape[2],
        modes=record.modes,
        block=choose_block(parameters, count, trainer.outputs, TANGENT_BYTES) if by_gradients else 0,
        precision=np.dtype(trainer.study.ensemble.precision).itemsize,
    )
    require_memory_to_measure(record.quantities, sizes, available - weights)
    return sizes


def require_memory_for_records(layout: Layout) -> None:
    """Refuse, before anything is read or written, more recorded steps than can be held until they are.

    **Errors:** `InputError` with what is needed and what is there.
    """
    # What is recorded of networks that are written together, and once more while it is packed.
    needed, available = 2 * layout.seeds_at_once() * layout.network_bytes(), usable_bytes()
    if needed > available:
        steps = len(layout.study.recorded_steps())
        raise InputError(
            f"the records of one network at {steps:,} steps take {layout.network_bytes() / 1e9:.3g} GB, and "
            f"twice that is needed of the {available / 1e9:.3g} GB that may be used: record fewer steps "
            '(`record.steps` = "log" or a list), quantities, or points'
        )


def networks_in_a_call(trainer: Trainer, mesh: Mesh | None) -> int:
    """One on a processor; on accelerators, and on several devices, a block of seeds or what fits.

    However many seeds there are in all: which networks share a call may touch their last bits.
    """
    if mesh is None and jax.default_backend() == "cpu":
        return 1
    devices = 1 if mesh is None else mesh.size
    fitting = max(1, BUDGET_BYTES * devices // (COPIES * tree_bytes(state_shapes(trainer))))
    # Not many more than a block, so that few are computed in vain.
    block = -(-trainer.study.ensemble.seeds_per_cell // devices) * devices
    return min(shareable(fitting, devices), block)


def groups_held(states: State, workers: int) -> int:
    """Calls whose networks are in memory together: at least those that run, and what half of it holds."""
    return max(workers, usable_bytes() // (2 * tree_bytes(states)))


def networks_at_once(programs: list[Any], states: State, width: int, processors: int | None) -> int:
    """Calls made at the same time: one a processor, as many as memory allows."""
    own = tree_bytes(states)
    temporary = max(int(program.memory_analysis().temp_size_in_bytes) for program in programs)
    available = usable_bytes()
    if own + temporary > available:
        raise InputError(
            f"one network of width {width} takes {own / 1e9:.1f} GB, and a step of it "
            f"{temporary / 1e9:.1f} GB more; {available / 1e9:.1f} GB may be used: lower `ensemble.widths`, "
            "`training.batch`, `record.train_points` or `data.test`"
        )
    if jax.default_backend() != "cpu":
        return 1
    return max(1, min(processors or usable_processors(), (available - own) // max(temporary, 1)))


def state_shapes(trainer: Trainer) -> State:
    """A network in training, of which nothing is computed."""
    ensemble = trainer.study.ensemble
    key = jax.tree.map(lambda x: x[0], keys_of(ensemble, np.arange(1), trainer.width))
    return jax.eval_shape(lambda key: trainer.start(key, jnp.dtype(ensemble.precision)), key)


def tree_bytes(tree: Any) -> int:
    """Bytes of all arrays of a tree together, abstract ones included."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
