"""How the weights of a PyTorch model begin: the model's own draw, each tensor times one number."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from widthwise.adapters.torch_isolation import require_torch
from widthwise.errors import InputError
from widthwise.torch.rules import TensorRule

DRAWS = 16  # for the sizes of tensors, fewer of larger models: what is drawn stays below this many weights
FEW_WEIGHTS = 3_000_000


class Size(NamedTuple):
    """Root mean square of a tensor's entries over some draws, their number, and whether all are equal."""

    rms: float
    entries: int
    constant: bool


def sizes_at(make: Callable[[], Any], first: Any, *, once: bool) -> dict[str, Size]:
    """The size of every tensor at one width. **Arguments:** `first`, a draw; `once`, of that alone."""
    weights = sum(p.numel() for p in first.parameters())
    draws = 1 if once else min(DRAWS, max(1, FEW_WEIGHTS // max(1, weights)))
    squares = {name: size(p) ** 2 for name, p in first.named_parameters()}
    shapes = {name: p.shape for name, p in first.named_parameters()}
    for _ in range(draws - 1):
        drawn = dict(make().named_parameters())
        if shapes != {name: p.shape for name, p in drawn.items()}:
            raise InputError("`make` gives other tensors or other shapes at each call")
        for name, p in drawn.items():
            squares[name] += size(p) ** 2
    for name, square in squares.items():
        if not math.isfinite(square):
            raise InputError(f"{name}: has entries that are not finite")
    return {
        name: Size(math.sqrt(squares[name] / draws), draws * p.numel(), is_constant(p))
        for name, p in first.named_parameters()
    }


def size(parameter: Any) -> float:
    """Root mean square of the entries."""
    torch = require_torch()
    norm = torch.linalg.vector_norm(_whole(parameter), dtype=torch.float64)
    return float(norm) / math.sqrt(max(1, parameter.numel()))


def is_constant(parameter: Any) -> bool:
    """Whether all entries are the same number; of a single entry, whether that is 0 or 1."""
    values = _whole(parameter)
    if values.numel() == 1:
        return float(values) in (0.0, 1.0)
    return values.numel() == 0 or bool((values == values.flatten()[0]).all())


def start_factor(rule: TensorRule, own: Size, base: Size, deeper: float) -> float:
    r"""What the model's own draw is multiplied with, so that its size is the base width's times `rule.start`.

    The size of the model's own distribution over that at the base width is a power 0, -1/2 or -1 of how a
    side grows, or follows from both sides, for all usual initializations: where draws of both agree with
    one, it is taken to be that exactly, so that the draw keeps its own fluctuation; else sizes are divided.

    **Arguments:** `own`, the size here; `base`, that at the base width; `deeper`, the depth over the base's.
    """
    if not own.rms or not base.rms:
        if base.rms:
            raise InputError(f"{rule.tensor}: starts at zero at this width and not at the base width")
        return 0.0 if own.rms else 1.0
    ratio = own.rms / base.rms
    if base.constant and own.constant:
        return rule.start / ratio
    noise = math.sqrt(1 / (2 * own.entries) + 1 / (2 * base.entries))
    known = min(_powers(rule, deeper), key=lambda power: abs(math.log(ratio / power)))
    near = abs(math.log(ratio / known)) < max(4 * noise, 0.01)
    return rule.start / (known if near else ratio)


def _powers(rule: TensorRule, deeper: float) -> Sequence[float]:
    powers, growths = (0.0, -0.5, -1.0), (rule.out, rule.into, rule.growth)
    known = {g**one for g in growths for one in powers}
    for of_sides in (sum, max):  # 1/sqrt(in + out) of Glorot, 1/sqrt(max(in, out)) of orthogonal matrices
        if len(rule.shape) > 1:
            known.add((of_sides(rule.base_shape[:2]) / of_sides(rule.shape[:2])) ** 0.5)
    return sorted({each * deeper**power for each in known for power in powers})


def _whole(parameter: Any) -> Any:
    """The values, of all processes where they are spread over some."""
    values = parameter.detach()
    return values.full_tensor() if hasattr(values, "full_tensor") else values
