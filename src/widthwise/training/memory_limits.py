"""Memory of training: what is refused before compiling, and how many networks run at once."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from widthwise.data import Batch
from widthwise.data.files import usable_bytes
from widthwise.errors import InputError
from widthwise.records import Layout
from widthwise.records.evidence import usable_processors
from widthwise.training.keys import keys_of
from widthwise.training.measures.sharpness import ITERATIONS
from widthwise.training.measures.tangent import choose_block, tangent_kernel_bytes
from widthwise.training.sharding import shareable
from widthwise.training.trainer import State, Trainer

TANGENT_BYTES = 2**29  # for the gradients of the tangent kernel
BUDGET_BYTES = 2**31  # what networks of one call may take together
COPIES = 8  # of a network's state that training it takes on an accelerator, about
# These come from one tangent kernel.
OF_TANGENT_KERNEL = ("tangent_kernel", "tangent_kernel_eigenvalue", "task_power")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the memory of recording one network depends on.

    `parameters` weights; `points` recorded, with `outputs` each; `layers` that are recorded, with `neurons`
    in all of them and at all positions for one point; `block`, of points whose gradients are held together,
    0 for perceptrons; `precision` in bytes; `recorded`, bytes that a quantity adds to the records at a step.
    """

    parameters: int
    points: int
    outputs: int
    layers: int
    neurons: int
    block: int
    precision: int
    recorded: Mapping[str, int]


def require_memory(trainer: Trainer, layout: Layout, points: Batch) -> Sizes:
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
    count, quantities = len(points.inputs), layout.study.record.quantities
    by_gradients = set(OF_TANGENT_KERNEL) & set(quantities) and layout.study.network.kind != "mlp"
    steps = len(layout.study.recorded_steps())
    sizes = Sizes(
        parameters=parameters,
        points=count,
        outputs=trainer.outputs,
        layers=len(trace.layers),
        neurons=sum(layer.preactivation.size for layer in trace.layers.values()) // count,
        block=choose_block(parameters, count, trainer.outputs, TANGENT_BYTES) if by_gradients else 0,
        precision=np.dtype(layout.study.ensemble.precision).itemsize,
        recorded={name: layout.network_bytes([name]) // steps for name in quantities},
    )
    require_memory_to_measure(quantities, sizes, available - weights)
    return sizes


def working_bytes(quantities: Collection[str], sizes: Sizes) -> int:
    """About the most bytes that measuring one network takes at once, above what training it takes.

    The forward pass that is shown, and the greediest of the measures; backward passes through the network
    are counted as twice the forward pass.
    """
    forward = 2 * sizes.precision * sizes.points * sizes.neurons
    weights = sizes.precision * sizes.parameters
    needs = [0]
    layered = any(name in quantities for name in OF_TANGENT_KERNEL) and not sizes.block
    if "gradient_kernel" in quantities or layered:
        needs.append((1 + sizes.outputs) * forward + sizes.precision * sizes.layers * sizes.points**2)
    if any(name in quantities for name in OF_TANGENT_KERNEL) and sizes.block:
        shape = (sizes.parameters, sizes.points, sizes.outputs, sizes.block, sizes.precision)
        needs.append(tangent_kernel_bytes(*shape) + 2 * forward)
    if "sharpness" in quantities:
        # The Krylov basis and its transpose, and weights, rates, gradients and their tangents.
        needs.append((2 * ITERATIONS + 8) * weights + 2 * forward)
    if "forward_change_rms" in quantities:
        needs.append(weights + forward)
    if "preactivation_quantile" in quantities:
        needs.append(forward)
    if "gradient_rms" in quantities or "update_rms" in quantities:
        needs.append(3 * weights)
    return forward + max(needs) + sum(sizes.recorded[name] for name in quantities)


def require_memory_to_measure(quantities: Collection[str], sizes: Sizes, available: int) -> None:
    """Raise `InputError`, naming the greediest quantity, unless measuring fits into `available` bytes."""
    needed = working_bytes(quantities, sizes)
    if needed > available:
        greediest = max(quantities, key=lambda name: working_bytes([name], sizes))
        raise InputError(
            f"recording a network of {sizes.parameters} weights at {sizes.points} points takes about "
            f"{needed / 1e9:.3g} GB, and {available / 1e9:.3g} GB may be used: leave {greediest!r} out of "
            "`record.quantities`, which takes the most, or lower `record.train_points`, `data.test` or "
            "`ensemble.widths`"
        )


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
