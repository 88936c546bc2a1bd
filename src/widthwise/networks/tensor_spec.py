"""What a weight tensor is: its shape, its role, how it begins, and at which relative rate it learns."""

from dataclasses import dataclass
from typing import Literal

from widthwise.study.parametrizations import Role

Start = Literal["normal", "zero", "one"]


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    r"""The plan of one weight tensor at one width; a blueprint is a network with these in place of arrays.

    A tensor's role is which of its sides grow with width: `input` only the outgoing one (input weights,
    biases and gains of hidden layers, embeddings), `hidden` both, `readout` only the incoming one, `scalar`
    none.

    **Fields:** `fan_in`, how many entries are summed for one number that comes out (1 for biases, gains and
    embeddings); `fan_out`, how many come out. At the base width entries start with standard deviation
    `gain / sqrt(fan_in)` where `start` is "normal"; "one" lets all of them start at that number, and "zero"
    at 0. Gradient descent moves them at `sgd_rate` and adam at `adam_rate` times the learning rate. `inner`
    is what the network itself multiplies the tensor with: all of the above is said of the product. Weight
    decay spares tensors of one axis, and those that are a `bias` whatever their axes.
    """

    shape: tuple[int, ...]
    role: Role
    fan_in: int
    fan_out: int
    start: Start = "normal"
    gain: float = 1.0
    sgd_rate: float = 1.0
    adam_rate: float = 1.0
    inner: float = 1.0
    bias: bool = False
