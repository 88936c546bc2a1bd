"""How the weights of a PyTorch model begin: the model's own draw, each tensor times one number."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from widthwise.adapters.torch_isolation import require_torch
from widthwise.errors import InputError
from widthwise.torch.rules import TensorRule

DRAWS = 4  # of the base width, for the size of its tensors
FEW_WEIGHTS = 3_000_000  # a larger model is drawn once


class Size(NamedTuple):
    """Root mean square of a tensor's entries over some draws, their number, and whether all are equal."""

    rms: float
    entries: int
    constant: bool


def sizes_at(make: Callable[[], Any], first: Any, *, once: bool) -> dict[str, Size]:
    """The size of every tensor of the base width. **Arguments:** `first`, a draw; `once`, of that alone."""
    weights = sum(p.numel() for p in first.parameters())
    models = [first, *(make() for _ in range(DRAWS - 1 if weights < FEW_WEIGHTS and not once else 0))]
    found = {}
    for name, p in first.named_parameters():
        draws = [size(model.get_parameter(name)) for model in models]
        rms = math.sqrt(sum(each * each for each in draws) / len(draws))
        found[name] = Size(rms, len(draws) * p.numel(), is_constant(p))
        if not math.isfinite(rms):
            raise InputError(f"{name}: has entries that are not finite at the base width")
    return found


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


def begin(rule: TensorRule, parameter: Any, base: Any, known: Size | None, deeper: float) -> None:
    """Give a tensor its initial size, in place; nothing changes where its rule and the width are the base's.

    One that does not grow starts as a draw of the base width does.

    **Arguments:** `base`, the tensor of a draw at the base width; `known`, its size, None at the base width;
    `deeper`, the depth over that of the base.
    """
    with require_torch().no_grad():
        if known is None:
            factor = rule.start
        elif rule.role == "scalar" and not hasattr(parameter, "full_tensor"):
            parameter.copy_(base)
            factor = rule.start
        else:
            factor = start_factor(rule, parameter, known, deeper)
        if factor != 1:
            parameter.mul_(factor)


def start_factor(rule: TensorRule, parameter: Any, base: Size, deeper: float) -> float:
    r"""What the model's own draw is multiplied with, so that its size is the base width's times `rule.start`.

    The size of the model's own distribution over that at the base width is a power 0, -1/2 or -1 of how a
    side grows, for all usual initializations: where the two draws agree with one, it is taken to be that
    power exactly, so that the draw keeps its own fluctuation; else the two sizes are divided.
    """
    found, target = size(parameter), base.rms
    if not math.isfinite(found):
        raise InputError(f"{rule.tensor}: has entries that are not finite")
    if not target or not found:
        if target:
            raise InputError(f"{rule.tensor}: starts at zero at this width and not at the base width")
        return 0.0 if found else 1.0
    ratio = found / target
    if base.constant and is_constant(parameter):
        return rule.start / ratio
    noise = math.sqrt(1 / (2 * parameter.numel()) + 1 / (2 * base.entries))
    known = min(_powers(rule, deeper), key=lambda power: abs(math.log(ratio / power)))
    near = abs(math.log(ratio / known)) < max(4 * noise, 0.01)
    return rule.start / (known if near else ratio)


def _powers(rule: TensorRule, deeper: float) -> Sequence[float]:
    powers, growths = (0.0, -0.5, -1.0), (rule.out, rule.into, rule.growth)
    return sorted({g**one * deeper**two for g in growths for one in powers for two in powers})


def _whole(parameter: Any) -> Any:
    """The values, of all processes where they are spread over some."""
    values = parameter.detach()
    return values.full_tensor() if hasattr(values, "full_tensor") else values
