"""Depth as a second axis: which tensors belong to blocks that grow in number, and their rules."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Literal

from widthwise.errors import InputError
from widthwise.torch.rules import TensorRule, multiplied

DepthRule = Literal["complete", "sqrt"]
POWERS: Mapping[str, float] = {"complete": 1.0, "sqrt": 0.5}


def counterparts(names: Iterable[str], base_names: Iterable[str]) -> dict[str, str]:
    """The tensor of another depth that each tensor is like: of the same block, or of its last one.

    >>> counterparts(["head", "block.0.w", "block.1.w", "block.2.w"], ["head", "block.0.w", "block.1.w"])
    {'head': 'head', 'block.0.w': 'block.0.w', 'block.1.w': 'block.1.w', 'block.2.w': 'block.1.w'}
    """
    base = set(base_names)
    return {name: name if name in base else _like(name, base) for name in names}


def in_blocks(names: Iterable[str], base_names: Iterable[str]) -> set[str]:
    """Tensors of blocks whose number differs between two depths."""
    one, two = set(names), set(base_names)
    more, fewer = (one, two) if len(one) > len(two) else (two, one)
    families = {_family(name, _like(name, fewer)) for name in more - fewer}
    return {name for name in one if any(re.fullmatch(family, name) for family in families)}


def deepened(
    rules: Iterable[TensorRule], blocks: set[str], growth: float, rule: DepthRule, branches: Iterable[str]
) -> list[TensorRule]:
    r"""The rules at L blocks, L/L_0 = `growth` times as many as at the base depth.

    Every branch x + f(x) is divided by $(L/L_0)^\alpha$, alpha = 1 ("complete") or 1/2 ("sqrt"), by its last
    tensors: those that fit `branches`, with the factor folded. All tensors of blocks learn
    $(L/L_0)^{\alpha - 1}$ (Adam) or $(L/L_0)^{2 \alpha - 1}$ (SGD) times as fast, so that the L branches
    together move the stream as at the base depth, and their gradients are $(L/L_0)^{-\alpha}$ times as large.
    **Source:** Dey et al. (2025), arXiv 2505.01618, table 1; Yang et al. (2023), arXiv 2310.02244, table 1.
    """
    alpha, found = POWERS[rule], []
    for each in rules:
        if each.tensor in blocks:
            rate = growth ** (alpha - 1)
            each = each._replace(
                sgd_rate=each.sgd_rate * growth ** (2 * alpha - 1),
                adam_rate=each.adam_rate * rate,
                multiplier=each.multiplier * rate,
                gradient=each.gradient * growth**-alpha,
            )
            if any(fnmatchcase(each.tensor, pattern) for pattern in branches):
                each = multiplied(each, growth**-alpha, "the end of a branch")
        found.append(each)
    return found


def require_branches(branches: Iterable[str] | None, blocks: set[str]) -> tuple[str, ...]:
    """Patterns of the last tensors of branches, each of which fits one."""
    if branches is None:
        raise InputError(
            "`depth` needs `branches`, patterns of the last tensors of each residual branch, such as "
            f"('*.o_proj.*', '*.down_proj.*'), or () if the model divides its branches itself; tensors "
            f"of blocks are {', '.join(sorted(blocks)[:12])}"
        )
    patterns = (branches,) if isinstance(branches, str) else tuple(branches)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in blocks):
            raise InputError(f"`branches` names {pattern!r}, which fits no tensor of a block")
    return patterns


def _like(name: str, base: set[str]) -> str:
    parts = name.split(".")
    for place, part in enumerate(parts):
        if part.isdigit():
            for index in range(int(part) - 1, -1, -1):
                other = ".".join([*parts[:place], str(index), *parts[place + 1 :]])
                if other in base:
                    return other
    raise InputError(f"{name}: is at this depth and not at the base depth, and belongs to no numbered block")


def _family(name: str, other: str) -> str:
    """A regular expression of the tensors that differ from a tensor in the block's number."""
    pairs = zip(name.split("."), other.split("."), strict=True)
    return r"\.".join(re.escape(a) if a == b else r"\d+" for a, b in pairs)
