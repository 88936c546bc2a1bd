"""The rule of each tensor of a PyTorch model, all factors taken into its start and its rates."""

import math
from typing import NamedTuple

from widthwise.study.parametrizations import Role, factors
from widthwise.study.settings import Parametrization
from widthwise.torch.roles import Growth, Tensor


class TensorRule(NamedTuple):
    """How a tensor begins and learns, over the base width: a row of the table.

    **Fields:** `growth`, m; `start`, of the size of its entries; `sgd_rate` and `adam_rate`, relative to the
    learning rate; `gradient`, of the size of its gradient; `out` and `into`, how many times as large its
    sides are; `decays`, whether weight decay applies; `multiplier`, what factors and depth make of an
    Adam-like rate, which is in all of the above; `std`, root mean square of its initial entries; `why`, in
    words.
    """

    tensor: str
    shape: tuple[int, ...]
    role: Role
    growth: float
    start: float
    sgd_rate: float
    adam_rate: float
    gradient: float
    out: float
    into: float
    decays: bool
    base_shape: tuple[int, ...]
    multiplier: float
    std: float
    why: str


def rule_of(
    name: str, tensor: Tensor, base: Tensor, growth: Growth, parametrization: Parametrization
) -> TensorRule:
    r"""The table's row with its multiplier folded: c W is one array that starts c times as large, learns
    $c^2$ (SGD) or c (Adam) times as fast, and has 1/c of the gradient.
    """
    row = factors(parametrization, growth.role, growth.out, growth.into)
    return TensorRule(
        tensor=name,
        shape=tensor.shape,
        role=growth.role,
        growth=growth.m,
        start=row.std * row.multiplier,
        sgd_rate=row.sgd * row.multiplier**2,
        adam_rate=row.adam * row.multiplier,
        gradient=row.gradient / row.multiplier,
        out=growth.out,
        into=growth.into,
        decays=len(tensor.shape) > 1 and tensor.layout != "vector",
        base_shape=base.shape,
        multiplier=1.0,
        std=math.nan,
        why=growth.why,
    )


def multiplied(rule: TensorRule, factor: float, why: str) -> TensorRule:
    """The rule of a tensor that the forward pass is to multiply with a factor, folded."""
    return rule._replace(
        start=rule.start * factor,
        sgd_rate=rule.sgd_rate * factor**2,
        adam_rate=rule.adam_rate * factor,
        gradient=rule.gradient / factor,
        multiplier=rule.multiplier * factor,
        why=f"{rule.why}; times {factor:.4g}, {why}",
    )
