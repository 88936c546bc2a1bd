"""Networks by the table of parametrizations (`study/parametrizations.py`): their rules, and their weights."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Key

from widthwise.networks.tensor_spec import TensorSpec
from widthwise.study.parametrizations import factors
from widthwise.study.settings import Optimizer, Parametrization

Number = float | Float[Array, ""]  # an array where a compiled function has it as an argument
Tree = Any  # a network with tensors, rules, rates or arrays as leaves


class Rule(NamedTuple):
    """What holds for one array of a network: the table at its width, its multiplier taken into the array.

    A network in which a tensor W is multiplied by c is the same as one in which the array c W begins c times
    as large and learns c^2 (gradient descent) or c (adam) times as fast; so no network needs multipliers.
    `std` of the initial entries (their value where all start at one number); `sgd_rate` and `adam_rate`
    relative to the learning rate; `gradient_scale`, what brings the gradient to its size at the base width;
    `decays`, whether weight decay applies.
    """

    std: Number
    sgd_rate: Number
    adam_rate: Number
    gradient_scale: Number
    decays: bool

    def rate(self, optimizer: Optimizer) -> Number:
        """The relative rate under an optimizer."""
        return self.adam_rate if optimizer in ("adam", "adamw") else self.sgd_rate


def rule_of(tensor: TensorSpec, base: TensorSpec, parametrization: Parametrization) -> Rule:
    """The rule of a tensor, given the same tensor at the base width.

    >>> hidden = dict(role="hidden", gain=1.0)
    >>> wide = TensorSpec(shape=(256, 256), fan_in=256, fan_out=256, **hidden)
    >>> base = TensorSpec(shape=(64, 64), fan_in=64, fan_out=64, **hidden)
    >>> rule = rule_of(wide, base, "mean_field")
    >>> rule.std * 16, rule.sgd_rate, rule.adam_rate
    (1.0, 1.0, 0.25)
    """
    row = factors(parametrization, tensor.role, tensor.fan_out / base.fan_out, tensor.fan_in / base.fan_in)
    array = row.multiplier / tensor.inner  # of the array that the network holds, over the table's
    return Rule(
        std=tensor.gain / math.sqrt(base.fan_in) * row.std * array,
        sgd_rate=tensor.sgd_rate * row.sgd * array**2,
        adam_rate=tensor.adam_rate * row.adam * array,
        gradient_scale=array / row.gradient,
        decays=len(tensor.shape) > 1 and not tensor.bias,
    )


def growth_of(tensor: TensorSpec, base: TensorSpec) -> float:
    """m of the table: fan-in over that at the base width, of `input` tensors fan-out."""
    side = "fan_out" if tensor.role == "input" else "fan_in"
    return getattr(tensor, side) / getattr(base, side)


def rules_of(blueprint: Tree, base: Tree, parametrization: Parametrization) -> Tree:
    """The rule of every tensor, in the shape of the network. **Arguments:** two blueprints, `base` at the
    base width."""
    tensors, structure = jax.tree.flatten(blueprint, is_leaf=is_tensor)
    pairs = zip(tensors, jax.tree.leaves(base, is_leaf=is_tensor), strict=True)
    return jax.tree.unflatten(structure, [rule_of(*pair, parametrization) for pair in pairs])


def draw(key: Key[Array, ""], blueprint: Tree, rules: Tree, dtype: DTypeLike = jnp.float32) -> Tree:
    """A network with independent normal entries of each rule's `std`, or all zero or equal.

    The same key, blueprint, rules and dtype give the same weights, whatever else is computed beside them.
    """
    tensors, structure = jax.tree.flatten(blueprint, is_leaf=is_tensor)
    found = jax.tree.leaves(rules, is_leaf=is_rule)
    sizes = [int(np.prod(t.shape)) if t.start == "normal" else 0 for t in tensors]
    # One draw for all tensors: each separate draw would add a tenth of a second of compilation.
    parts = jnp.split(jax.random.normal(key, (sum(sizes),), dtype), np.cumsum(sizes)[:-1].tolist())
    arrays = [
        rule.std * part.reshape(tensor.shape)
        if tensor.start == "normal"
        else jnp.full(tensor.shape, rule.std if tensor.start == "one" else 0.0, dtype)
        for tensor, rule, part in zip(tensors, found, parts, strict=True)
    ]
    return jax.tree.unflatten(structure, arrays)


def is_tensor(leaf: object) -> bool:
    """For `jax.tree.map` over blueprints."""
    return isinstance(leaf, TensorSpec)


def is_rule(leaf: object) -> bool:
    """For `jax.tree.map` over rules."""
    return isinstance(leaf, Rule)
