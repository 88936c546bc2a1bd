"""The rules of a network as a table to read, one row a tensor."""

from typing import Any, NamedTuple

import jax

from widthwise.networks.parametrization import Rule, growth_of, is_rule, is_tensor
from widthwise.networks.tensor_spec import Role, TensorSpec

Tree = Any  # a network with rules or tensors in place of its weights


class TensorRow(NamedTuple):
    """One tensor of the table. `std` is of the initial entries, or the number at which all of them start;
    rates multiply the learning rate."""

    tensor: str
    shape: tuple[int, ...]
    role: Role
    growth: float
    starts: str
    std: float
    sgd_rate: float
    adam_rate: float
    decays: bool


def table_rows(plan: Tree, base: Tree, rules: Tree) -> tuple[TensorRow, ...]:
    """The table of a network. **Arguments:** its blueprint, that of the base width, and its rules."""
    planned = jax.tree_util.tree_flatten_with_path(plan, is_leaf=is_tensor)[0]
    others = (jax.tree.leaves(base, is_leaf=is_tensor), jax.tree.leaves(rules, is_leaf=is_rule))
    return tuple(
        _row(jax.tree_util.keystr(path), tensor, other, rule)
        for (path, tensor), other, rule in zip(planned, *others, strict=True)
    )


def format_rows(heading: str, rows: tuple[TensorRow, ...]) -> str:
    """A table as text, with four digits; "= 1" where all entries start at that number."""
    titles = ("tensor", "shape", "role", "growth", "initial std", "SGD rate", "Adam rate", "decays")
    lines: list[tuple[str, ...]] = [titles]
    for row in rows:
        std = f"{row.std:.4g}" if row.starts == "normal" else f"= {row.std:.4g}"
        numbers = (f"{number:.4g}" for number in (row.sgd_rate, row.adam_rate))
        decays = "yes" if row.decays else "no"
        lines.append((row.tensor, str(row.shape), row.role, f"{row.growth:.4g}", std, *numbers, decays))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    texts = 3  # columns of words are aligned at their left, those of numbers at their right
    aligned = [
        [
            cell.ljust(n) if i < texts else cell.rjust(n)
            for i, (cell, n) in enumerate(zip(line, widths, strict=True))
        ]
        for line in lines
    ]
    return "\n".join([heading, *("  ".join(line).rstrip() for line in aligned)])


def _row(path: str, tensor: TensorSpec, base: TensorSpec, rule: Rule) -> TensorRow:
    std = 0.0 if tensor.start == "zero" else float(rule.std)
    starts = "normal" if tensor.start == "normal" else "constant"
    rates = (float(rule.sgd_rate), float(rule.adam_rate))
    return TensorRow(
        path, tensor.shape, tensor.role, growth_of(tensor, base), starts, std, *rates, rule.decays
    )
