"""Plans of the tensors that architectures share, in the terms of PyTorch at the base width."""

import math
from dataclasses import replace
from typing import Any

from widthwise.errors import InputError
from widthwise.networks.tensor_spec import Role, TensorSpec
from widthwise.study import NetworkSettings

Leaf = Any  # an array of a network; in its blueprint the `TensorSpec` that plans it


def weights(settings: NetworkSettings, shape: tuple[int, ...], role: Role = "hidden") -> TensorSpec:
    """Weights (out, in, *window), standard deviation 1/sqrt(fan_in) at the base width.

    `fan_in` counts in x window, `fan_out` only out: it stands for the width, not for positions.
    """
    fan_in = math.prod(shape[1:])
    sgd, adam = settings.richness**2, settings.richness
    return TensorSpec(shape=shape, role=role, fan_in=fan_in, fan_out=shape[0], sgd_rate=sgd, adam_rate=adam)


def readout(settings: NetworkSettings, outputs: int, width: int) -> TensorSpec:
    """Weights (output, width) of the last layer; the division by the richness is theirs."""
    start = "zero" if settings.readout == "zero" else "normal"
    gain = 1 / settings.richness
    return TensorSpec(
        shape=(outputs, width), role="readout", fan_in=width, fan_out=outputs, start=start, gain=gain
    )


def embedding(settings: NetworkSettings, entries: int, width: int, gain: float = 1.0) -> TensorSpec:
    """A table (entry, width) of standard deviation `gain`; one entry is looked up, so `fan_in` is 1."""
    return replace(weights(settings, (entries, width), "input"), fan_in=1, fan_out=width, gain=gain)


def scale_and_shift(settings: NetworkSettings, channels: int) -> tuple[TensorSpec, TensorSpec]:
    """Gains, starting at one, and biases, starting at zero, after a normalization."""
    ones = replace(weights(settings, (channels,), "input"), start="one")
    return ones, replace(ones, start="zero")


def image_sizes(settings: NetworkSettings, shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(row, column, channel) of one input; a picture without channels has one."""
    sizes = (*shape, 1) if len(shape) == 2 else shape
    if len(sizes) != 3:
        raise InputError(
            f"`network.kind` = {settings.kind!r} reads images (row, column, channel), not inputs of shape "
            f'{shape}: give images or use kind = "mlp"'
        )
    return sizes
