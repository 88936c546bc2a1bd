"""The optimizer of a study, from the rules of its parametrization, by optax."""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from widthwise.networks.parametrization import Rule, is_rule
from widthwise.study import TrainingSettings
from widthwise.study.combinations import checked_training

Tree = Any
Number = float | Float[Array, ""]


class Constants(NamedTuple):
    """The numbers of an optimizer, named as in `TrainingSettings`; arrays where a compiled function has them
    as arguments."""

    learning_rate: Number
    momentum: Number
    beta2: Number
    epsilon: Number
    weight_decay: Number
    clip: Number


def constants_of(training: TrainingSettings) -> Constants:
    """The constants that the settings give, as Python numbers."""
    return Constants(*(getattr(training, name) for name in Constants._fields))


def make_optimizer(rules: Tree, training: TrainingSettings) -> optax.GradientTransformation:
    r"""How gradients move the weights: step t adds

    $$\Delta W = -\eta_t\, (r_W\, d(g) + \lambda W)$$

    with the tensor's rate r_W, the schedule eta_t, the direction d (the gradient; its running sum with
    momentum; adam's ratio), and the decay lambda on matrices (adamw, or `weight_decay` with any other).

    **Arguments:** `rules`, a network with a `Rule` in place of every weight; of `training`, the optimizer,
    its rate, schedule and constants, decay and clip are read (a cosine ends at its `steps`).
    **Returns:** a transformation for gradients as `jax.grad` or `eqx.filter_grad` give them: where a module
    holds no weight there is None; what has a gradient but no rule stays as it is, and so does what has a
    rule and, frozen, no gradient.
    **Errors:** `ValueError` for "gradient_flow", which takes no steps; for settings that no training can
    have; for `rules` that hold other things than rules.
    """
    training = checked_training(training)
    _check_rules(rules)
    if training.optimizer == "gradient_flow":
        raise ValueError(
            '`training.optimizer` = "gradient_flow" takes no steps: choose gd, sgd, momentum, adam or adamw'
        )
    return chain(rules, training, constants_of(training))


def chain(rules: Tree, training: TrainingSettings, constants: Constants) -> optax.GradientTransformation:
    """The optimizer of checked settings: which stages there are, they say; the numbers are `constants`."""
    stages: list[optax.GradientTransformation] = []
    if training.clip:
        stages.append(clip_weighted(constants.clip, tree_of(rules, lambda rule: rule.sgd_rate)))
    if training.optimizer in ("adam", "adamw"):
        stages.append(scale_by_tree(tree_of(rules, lambda rule: rule.gradient_scale)))
        adam = optax.scale_by_adam(constants.momentum, constants.beta2, constants.epsilon)  # pyright: ignore[reportArgumentType]
        stages.append(adam)
    elif training.optimizer == "momentum":
        stages.append(optax.trace(constants.momentum))  # pyright: ignore[reportArgumentType]
    stages.append(scale_by_tree(tree_of(rules, lambda rule: rule.rate(training.optimizer))))
    if training.weight_decay:
        stages.append(
            add_weights(tree_of(rules, lambda rule: constants.weight_decay if rule.decays else None))
        )
    schedule = make_schedule(training, constants.learning_rate)
    return only_ruled(optax.chain(*stages, optax.scale_by_learning_rate(schedule)), rules)


def _check_rules(rules: Tree) -> None:
    leaves = jax.tree.leaves(rules, is_leaf=is_rule)
    foreign = next((leaf for leaf in leaves if not is_rule(leaf)), None)
    if foreign is not None or not leaves:
        found = "none" if foreign is None else f"also {type(foreign).__name__}"
        raise ValueError(
            f"`rules` is to hold rules alone, and there are {found}: give `parametrize(...).rules`"
        )


def make_schedule(training: TrainingSettings, rate: Number | None = None) -> optax.Schedule:
    """The learning rate at each step: a linear rise over `warmup` steps, then constant, cosine or steps.

    **Arguments:** `rate`, the highest, that of `training` if not given.

    >>> schedule = make_schedule(TrainingSettings(learning_rate=1.0, warmup=4, steps=5))
    >>> [round(float(schedule(step)), 2) for step in range(5)]
    [0.2, 0.4, 0.6, 0.8, 1.0]
    """
    rate = training.learning_rate if rate is None else rate
    warmup, last = training.warmup, training.steps - 1
    match training.schedule:
        case "constant":
            after: optax.Schedule = optax.constant_schedule(rate)
        case "cosine":
            after = optax.cosine_decay_schedule(rate, max(1, last - warmup))
        case "step":
            drops = {step - warmup: training.decay_factor for step in training.decay_steps if step > warmup}
            early = training.decay_factor ** sum(step <= warmup for step in training.decay_steps)
            after = optax.piecewise_constant_schedule(rate * early, drops)
    if not warmup:
        return after
    rise = optax.linear_schedule(rate / (warmup + 1), rate, warmup)
    return optax.join_schedules([rise, after], [warmup])


def only_ruled(optimizer: optax.GradientTransformation, rules: Tree) -> optax.GradientTransformation:
    """An optimizer that sees of weights and gradients only what has a rule, and moves nothing else."""
    ruled = tree_of(rules, lambda rule: True)

    def keep(tree: Tree) -> Tree:
        return jax.tree.map(lambda known, leaf: leaf if known else None, ruled, tree, is_leaf=_is_none)

    def update(updates: Tree, state: Tree, params: Tree | None = None) -> tuple[Tree, Tree]:
        moved, state = optimizer.update(keep(updates), state, None if params is None else keep(params))
        zeros = jax.tree.map(jnp.zeros_like, updates)
        return jax.tree.map(lambda u, z: z if u is None else u, moved, zeros, is_leaf=_is_none), state

    return optax.GradientTransformation(lambda params: optimizer.init(keep(params)), update)


def scale_by_tree(scales: Tree) -> optax.GradientTransformation:
    """Each tensor's update times its own number."""
    return optax.stateless(lambda updates, _: _each(operator.mul, updates, scales))


def add_weights(shares: Tree) -> optax.GradientTransformation:
    """Each tensor's update plus its own share of the tensor itself."""

    def added(update: Any, weight: Any, share: Any) -> Any:
        return update if share is None else update + share * weight

    # Not optax's: it takes a module that can be called for a function of the weights.
    return optax.stateless(lambda updates, weights: _each(added, updates, weights, shares))


def clip_weighted(largest: Number, weights: Tree) -> optax.GradientTransformation:
    r"""Bound $\sqrt{\sum_W r_W |g_W|^2}$, which is order 1 at every width, by shortening the gradient."""

    def clip(updates: Tree, _: Tree) -> Tree:
        squares = _each(lambda slope, weight: weight * jnp.sum(slope * slope), updates, weights)
        norm = jnp.sqrt(sum(jax.tree.leaves(squares)))
        return jax.tree.map(lambda u: u * jnp.minimum(1.0, largest / (norm + 1e-30)).astype(u.dtype), updates)

    return optax.stateless(clip)


def tree_of(rules: Tree, number: Callable[[Rule], Any]) -> Tree:
    """A network with one number of each rule."""
    return jax.tree.map(number, rules, is_leaf=is_rule)


def _each(function: Callable[..., Any], updates: Tree, *beside: Tree) -> Tree:
    """Tensor by tensor; None where there is no update."""

    def of_tensor(update: Any, *others: Any) -> Any:
        return None if update is None else function(update, *others)

    return jax.tree.map(of_tensor, updates, *beside, is_leaf=_is_none)


def _is_none(leaf: object) -> bool:
    return leaf is None
