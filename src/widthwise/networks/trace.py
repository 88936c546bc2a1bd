"""What passes through a network: every architecture shows it under the same names."""

from typing import NamedTuple

from jaxtyping import Array, Float


class Layer(NamedTuple):
    """One layer at every point: neurons, or channels, on the last axis; positions, if any, before it."""

    preactivation: Float[Array, "point *position neuron"]
    feature: Float[Array, "point *position neuron"]


class Trace(NamedTuple):
    """One forward pass. `layers` from the input on, by name; `attention` rows sum to one over keys."""

    output: Float[Array, "point *position output"]
    layers: dict[str, Layer]
    attention: dict[str, Float[Array, "point head query key"]]
