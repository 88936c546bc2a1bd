"""What each tensor of a PyTorch model is, seen from how its axes grow."""

import math
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, cast, get_args

from widthwise.adapters.torch_isolation import require_torch
from widthwise.errors import InputError
from widthwise.study.parametrizations import Role

ROLES = get_args(Role)
FIXED = "fixed"
EMBEDDING_WORDS = ("embed", "pos_", "position", "token")


class Tensor(NamedTuple):
    """A parameter: its shape, how it is laid out, its convolution's groups.

    **Fields:** `layout`: "layer" (out, in, *window), "transposed" (in, out, *window), "table" (entry, out),
    "vector" (gains and biases), or "" of a parameter that belongs to no module of a known kind.
    """

    shape: tuple[int, ...]
    layout: str
    groups: int = 1


class Growth(NamedTuple):
    """A tensor's role, and its outgoing and incoming sides over those at the base width."""

    role: Role
    out: float
    into: float
    why: str

    @property
    def m(self) -> float:
        """m of the table."""
        return self.out if self.role == "input" else self.into


def describe(model: Any) -> dict[str, Tensor]:
    """Every parameter by name, tied ones once: as a table if an embedding is among those that share it."""
    found, owners = {}, {}
    for module in model.modules():
        for key, p in module._parameters.items():
            if p is not None and (id(p) not in owners or _layout(module, key, p) == "table"):
                owners[id(p)] = module, key
    for name, p in model.named_parameters():
        module, key = owners[id(p)]
        found[name] = Tensor(tuple(p.shape), _layout(module, key, p), int(getattr(module, "groups", 1)))
    return found


def _layout(module: Any, key: str, parameter: Any) -> str:
    nn = require_torch().nn
    norms = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase, nn.PReLU)
    layers = (nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd, nn.RNNBase, nn.RNNCellBase)
    if parameter.dim() < 2 or isinstance(module, norms) or (key == "bias" and isinstance(module, layers)):
        return "vector"
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        return "table"
    if isinstance(module, nn.modules.conv._ConvTransposeNd) or type(module).__name__ == "Conv1D":
        return "transposed"  # Conv1D is GPT-2's
    if isinstance(module, nn.MultiheadAttention):
        return "vector" if key in ("bias_k", "bias_v") else "layer"
    return "layer" if isinstance(module, layers) else ""


def growth_of(name: str, tensor: Tensor, base: Tensor, tags: Mapping[str, str]) -> Growth:
    """The role of a tensor from its shapes at two widths, or from `tags`; what is "fixed" is a scalar.

    **Errors:** `InputError` with the line of `tags` to write where shapes do not tell.
    """
    if len(tensor.shape) != len(base.shape):
        raise InputError(f"{name}: has {len(base.shape)} axes at the base width and {len(tensor.shape)} here")
    ratios = [a / b if b else 1.0 for a, b in zip(tensor.shape, base.shape, strict=True)]
    tag = tags.get(name)
    if tag == FIXED:
        return Growth("scalar", 1.0, 1.0, "left as it is, from `tags`")
    if tag is not None:
        return _tagged(cast(Role, tag), tensor, ratios)
    growing = [axis for axis, ratio in enumerate(ratios) if ratio != 1]
    grows = max((ratios[axis] for axis in growing), key=lambda r: abs(math.log(r)), default=1.0)
    if not growing and tensor.groups == base.groups:
        return Growth("scalar", 1.0, 1.0, "no axis grows")
    if tensor.layout == "vector":
        return Growth("input", grows, 1.0, "a gain or bias of units that grow in number")
    if tensor.layout == "table":
        if growing == [1]:
            return Growth("input", grows, 1.0, "a table: rows grow")
        raise _unclear(name, tensor, "the number of entries of its table grows")
    if tensor.layout == "":
        return _of_bare(name, tensor, base, ratios)
    if any(axis > 1 for axis in growing):
        raise _unclear(name, tensor, "an axis of its window grows")
    out, into = ratios[0], ratios[1]
    if tensor.layout == "transposed":  # (in, out / groups, *window), and in / groups are summed
        wider = tensor.groups / base.groups
        out, into = into * wider, out / wider
    return _of_layer(out, into)


def _of_layer(out: float, into: float) -> Growth:
    role: Role = "scalar"
    if into != 1:
        role = "hidden" if out != 1 else "readout"
    elif out != 1:
        role = "input"
    words = {
        "hidden": "both sides grow",
        "readout": "only what goes in grows",
        "input": "only what comes out grows",
    }
    return Growth(role, out, into, words.get(role, "no side grows"))


def _of_bare(name: str, tensor: Tensor, base: Tensor, ratios: Sequence[float]) -> Growth:
    """Of a parameter of a user's own, whose axes may have any order."""
    both = zip(tensor.shape, base.shape, strict=True)
    long = [axis for axis, sizes in enumerate(both) if sizes != (1, 1)]
    growing = [axis for axis in long if ratios[axis] != 1]
    first = ratios[growing[0]]
    if len(long) == 1:
        return Growth("input", first, 1.0, "one axis, which grows")
    if len(growing) == 2 and ratios[growing[1]] == first:
        return Growth("hidden", first, first, "two axes grow")
    named = any(word in name.lower() for word in EMBEDDING_WORDS)
    if growing == [len(tensor.shape) - 1] and named:
        return Growth("input", first, 1.0, "a table, by its name: rows grow")
    reason = {1: "it could be an input table or a readout", 2: "its two growing axes grow differently"}
    raise _unclear(name, tensor, reason.get(len(growing), f"{len(growing)} of its axes grow"))


def _tagged(role: Role, tensor: Tensor, ratios: Sequence[float]) -> Growth:
    if tensor.layout in ("transposed", "table"):
        ratios = [ratios[1], ratios[0], *ratios[2:]]
    growing = [ratio for ratio in ratios if ratio != 1] or [1.0]
    out = growing[0] if role in ("input", "hidden") else 1.0
    into = growing[-1] if role in ("readout", "hidden") else 1.0
    return Growth(role, out, into, "from `tags`")


def _unclear(name: str, tensor: Tensor, reason: str) -> InputError:
    alike = re.sub(r"\.\d+(?=\.)", ".*", name)  # the same tensor of all blocks
    return InputError(
        f"{name}: what its shape {tensor.shape} does is not clear ({reason}); say it by "
        f'tags={{"{alike}": "input"}} (or "hidden", "readout", "scalar", "fixed")'
    )


def require_tags(tags: Any, names: Sequence[str]) -> dict[str, str]:
    """The role of each tensor that `tags` names."""
    found = named_by("tags", tags, names)
    for name, role in found.items():
        if role not in (*ROLES, FIXED):
            raise InputError(f"`tags` says {role!r} of {name}: expected one of {', '.join(ROLES)}, {FIXED}")
    return found


def named_by(argument: str, given: Any, names: Sequence[str]) -> dict[str, Any]:
    """What an argument says of each tensor, by its name or by patterns, of which the first holds."""
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"`{argument}` = {given!r}: give a dictionary by names or patterns of tensors")
    found = {}
    for pattern, value in (given or {}).items():
        fitting = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
        if not fitting:
            raise InputError(
                f"`{argument}` names {pattern!r}, which is no tensor; they are {', '.join(names)}"
            )
        found = dict.fromkeys(fitting, value) | found
    return found
