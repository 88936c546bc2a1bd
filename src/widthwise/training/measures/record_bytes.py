"""Bytes that recording takes, known before anything starts."""

from collections.abc import Collection
from dataclasses import dataclass

from widthwise.errors import InputError
from widthwise.records.schema import QUANTILE_LEVELS
from widthwise.training.measures.sharpness import ITERATIONS
from widthwise.training.measures.spectrum import mode_count
from widthwise.training.measures.tangent import tangent_kernel_bytes

# These come from one tangent kernel.
OF_TANGENT_KERNEL = ("tangent_kernel", "tangent_kernel_eigenvalue", "task_power")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What the memory of recording one network depends on.

    `parameters` weights in `tensors` tensors; `points` recorded, `train` of them training points; `outputs`;
    `layers` that are recorded, with `neurons` in all of them and at all positions for one point; of
    transformers, `attention` layers with `heads` heads over `positions`; `modes` asked for; points whose
    gradients are held together, `block`, 0 for perceptrons, of which none are; `precision` in bytes.
    """

    parameters: int
    tensors: int
    points: int
    train: int
    outputs: int
    layers: int
    neurons: int
    attention: int = 0
    heads: int = 0
    positions: int = 0
    modes: int = 32
    block: int = 2
    precision: int = 4


def recorded_bytes(quantities: Collection[str], sizes: Sizes) -> int:
    """Bytes that one network adds to the records at one recorded step."""
    splits = 1 + (0 < sizes.train < sizes.points)
    modes = mode_count(sizes.train, sizes.points, sizes.modes)
    numbers = {
        "prediction": sizes.points * sizes.outputs,
        "loss": splits,
        "batch_loss": 1,
        "feature_kernel": sizes.layers * sizes.points**2,
        "gradient_kernel": sizes.layers * sizes.points**2,
        "tangent_kernel": sizes.points**2,
        "example_loss": sizes.points,
        "tangent_kernel_eigenvalue": modes,
        "task_power": modes,
        "preactivation_quantile": sizes.layers * sizes.points * len(QUANTILE_LEVELS),
        "attention": sizes.attention * sizes.heads * sizes.positions**2,
        "sharpness": 2,
        "weight_rms": sizes.tensors,
        "gradient_rms": sizes.tensors,
        "update_rms": sizes.tensors,
        "forward_rms": sizes.layers,
        "forward_change_rms": sizes.layers,
    }
    return sizes.precision * sum(numbers[name] for name in quantities)


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
        needs.append((1 + sizes.outputs) * forward + recorded_bytes(["gradient_kernel"], sizes))
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
    return forward + max(needs) + recorded_bytes(quantities, sizes)


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
