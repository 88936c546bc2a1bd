"""One network in training: how it is drawn, what one step does to it, and how it is seen."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key, Num

from widthwise.data import Batch, Probes
from widthwise.networks import MLP, FamilyKey, Feedback, blueprint, draw_feedback, draw_nested
from widthwise.networks.parametrization import Rule, draw, is_rule, is_tensor, rules_of
from widthwise.networks.trace import Trace
from widthwise.study import Study
from widthwise.study.combinations import FULL_BATCH
from widthwise.training.dynamics import feedback_gradient, flow
from widthwise.training.loss import total_loss
from widthwise.training.optimizer import Constants, chain, constants_of, make_schedule, tree_of

Tree = Any
ADAPTIVE = ("adam", "adamw")


class State(NamedTuple):
    """A network in training. `origin` holds the initial weights where something refers to them, `feedback`
    the weights of the backward pass under another learning rule than backpropagation; else None."""

    weights: Tree
    optimizer: Any
    origin: Tree | None
    feedback: Feedback | None
    step: Int[Array, ""]


class Move(NamedTuple):
    """The coming step: the loss before it and its gradient, what is added to the weights, and the optimizer's
    state after it."""

    loss: Float[Array, ""]
    gradient: Tree
    update: Tree
    optimizer: Any


class Numbers(NamedTuple):
    """All numbers that a compiled training takes as arguments, so that a sweep over them compiles once.

    `rules`: std, sgd_rate, adam_rate and gradient_scale of every tensor, a row each; `constants` of the
    optimizer; `output_scale`, what a perceptron's output is multiplied by, 1 / richness, else 1; `inputs`,
    flattened, of the recorded points, at which deep nested networks begin alike, None for others.
    """

    rules: Float[Array, "tensor 4"]
    constants: Constants
    output_scale: Float[Array, ""]
    inputs: Float[Array, "point dimension"] | None = None


class Trainer:
    """How networks of one width are drawn, trained and seen; holds no weights and never changes.

    **Arguments:** `probes`, the recorded points, of which the shapes of inputs and outputs are read.
    """

    def __init__(self, study: Study, probes: Probes, width: int):
        network, shape = study.network, probes.inputs.shape[1:]
        self.study, self.outputs, self.width, self.recorded_train = study, probes.outputs, width, probes.train
        plan, base = (blueprint(network, shape, probes.outputs, size) for size in (width, network.base_width))
        rules = jax.tree.leaves(rules_of(plan, base, network.parametrization), is_leaf=is_rule)
        # A perceptron divides by the richness in its forward pass; here that is an argument.
        self.blueprint: Tree = plan
        self.output_scale = 1.0
        if isinstance(plan, MLP):
            self.blueprint, self.output_scale = plan.with_richness(1.0), 1 / network.richness
        structure = jax.tree.structure(self.blueprint, is_leaf=is_tensor)
        self.rules = jax.tree.unflatten(structure, rules)
        self.constants = constants_of(study.training)
        # A network that starts at zero is centered as it is.
        self.centers = network.centered and network.readout != "zero"
        self.keeps_origin = self.centers or "forward_change_rms" in study.record.quantities
        self.full_batch = study.training.optimizer in FULL_BATCH
        deep = study.ensemble.coupling == "nested" and network.hidden_layers > 1
        self.inputs = probes.inputs.reshape(len(probes.inputs), -1) if deep else None

    def numbers(self) -> Numbers:
        """The numbers of the study at this width, as arrays of the precision in force."""
        rows = [rule[:4] for rule in jax.tree.leaves(self.rules, is_leaf=is_rule)]
        constants = jax.tree.map(jnp.asarray, self.constants)
        inputs = None if self.inputs is None else jnp.asarray(self.inputs, self.study.ensemble.precision)
        return Numbers(jnp.asarray(np.array(rows)), constants, jnp.asarray(self.output_scale), inputs)

    def with_numbers(self, numbers: Numbers) -> "Trainer":
        """The same trainer with other numbers, such as the arguments of a compiled function."""
        found = copy(self)
        rules, structure = jax.tree.flatten(self.rules, is_leaf=is_rule)
        rows = [
            Rule(row[0], row[1], row[2], row[3], rule.decays)
            for row, rule in zip(numbers.rules, rules, strict=True)
        ]
        found.rules = jax.tree.unflatten(structure, rows)
        found.constants, found.output_scale = numbers.constants, numbers.output_scale
        found.inputs = numbers.inputs
        return found

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Of all optimizers but gradient flow."""
        return chain(self.rules, self.study.training, self.constants)

    def relative_rates(self, *, gradient_descent: bool) -> Tree:
        """Each tensor's rate over the learning rate; of gradient descent, or of the study's optimizer."""
        optimizer = "sgd" if gradient_descent else self.study.training.optimizer
        return tree_of(self.rules, lambda rule: jnp.asarray(rule.rate(optimizer), float))

    def rates(self, state: State, move: Move) -> Tree:
        """The rate of every weight in the coming step; adam's over the root of its second moment, with the
        gradient of that step's batch in it."""
        training, constants = self.study.training, self.constants
        rate = jnp.asarray(make_schedule(training, constants.learning_rate)(state.step))
        rates = jax.tree.map(lambda relative: rate * relative, self.relative_rates(gradient_descent=False))
        if training.optimizer not in ADAPTIVE:
            return rates
        share = 1 - constants.beta2 ** (state.step + 1).astype(jnp.float32)
        return jax.tree.map(
            lambda rate, scale, square: rate * scale / (jnp.sqrt(square / share) + constants.epsilon),
            rates,
            tree_of(self.rules, lambda rule: rule.gradient_scale),
            optax.tree_utils.tree_get(move.optimizer, "nu"),
        )

    def start(self, key: Key[Array, ""] | FamilyKey, dtype: DTypeLike = jnp.float32) -> State:
        """A network at initialization, drawn by itself or as part of a nested family."""
        study = self.study
        weights: Tree
        if isinstance(key, FamilyKey):
            weights, key = draw_nested(key, self.blueprint, self.rules, self.inputs, dtype), key.own
        else:
            weights = draw(key, self.blueprint, self.rules, dtype)
        origin = jax.tree.map(jnp.copy, weights) if self.keeps_origin else None
        sizes = (study.network.hidden_layers, self.width, self.outputs)
        feedback = draw_feedback(key, study.training.learning_rule, sizes, dtype)
        optimizer = () if study.training.optimizer == "gradient_flow" else self.optimizer.init(weights)
        return State(weights, optimizer, origin, feedback, jnp.zeros((), jnp.int32))

    def move(self, state: State, batch: Batch, base: Array | None) -> Move:
        """What the step on a batch does; `base` is that of its inputs."""
        training = self.study.training

        def gradient(weights: Tree) -> tuple[Float[Array, ""], Tree]:
            return self._gradient(weights, state.feedback, batch, base)

        loss, slope = gradient(state.weights)
        if training.optimizer != "gradient_flow":
            return Move(loss, slope, *self.optimizer.update(slope, state.optimizer, state.weights))
        rates = self.relative_rates(gradient_descent=True)

        def velocity(weights: Tree) -> Tree:
            return jax.tree.map(lambda rate, g: -rate.astype(g.dtype) * g, rates, gradient(weights)[1])

        moved = flow(state.weights, velocity, self.constants.learning_rate, training.substeps)
        return Move(loss, slope, jax.tree.map(jnp.subtract, moved, state.weights), ())

    def apply(self, state: State, move: Move) -> State:
        """The network one step later."""
        weights = optax.apply_updates(state.weights, move.update)
        return state._replace(weights=weights, optimizer=move.optimizer, step=state.step + 1)

    def loss(self, weights: Tree, batch: Batch, base: Array | None) -> Float[Array, ""]:
        """The sum or the mean over samples of the loss of the centered output."""
        return total_loss(self.trace(weights, batch.inputs, base).output, batch.answers, self.study.training)

    def trace(self, weights: Tree, inputs: Num[Array, "..."], base: Array | None) -> Trace:
        """The forward pass, its output centered by `base` if there is one."""
        trace = weights.trace(inputs)
        output = trace.output * jnp.asarray(self.output_scale, trace.output.dtype)
        return trace._replace(output=output if base is None else output - base)

    def base(self, state: State, inputs: Num[Array, "..."]) -> Array | None:
        """The output of the initial weights, which is subtracted if the study centers; else None."""
        return self.trace(state.origin, inputs, None).output if self.centers else None

    def _gradient(
        self, weights: Tree, feedback: Feedback | None, batch: Batch, base: Array | None
    ) -> tuple[Float[Array, ""], Tree]:
        if feedback is None:
            return jax.value_and_grad(lambda weights: self.loss(weights, batch, base))(weights)
        output = self.trace(weights, batch.inputs, base).output
        loss, pull = jax.value_and_grad(total_loss)(output, batch.answers, self.study.training)
        flat = batch.inputs.reshape(len(batch.inputs), -1)
        pull = pull * jnp.asarray(self.output_scale, pull.dtype)
        return loss, feedback_gradient(weights, feedback, flat, pull)


@contextmanager
def numerics(precision: str) -> Iterator[None]:
    """JAX settings of one precision for this thread: true float32 or float64, products included."""
    with jax.enable_x64(precision == "float64"), jax.default_matmul_precision("highest"):
        yield


def last_output(output: Float[Array, "point *position output"]) -> Float[Array, "point output"]:
    """What is recorded as the prediction: of texts, that for the token after the last position."""
    return output if output.ndim == 2 else output[:, -1]


def on_device(batch: Batch, dtype: DTypeLike) -> Batch:
    """A batch where JAX computes, real numbers in the precision of training, whole ones as 32-bit."""
    return Batch(*(jnp.asarray(x) for x in as_batch(batch, dtype)))


def as_batch(batch: Batch, dtype: DTypeLike) -> Batch:
    """A batch with real numbers in the precision of training, whole ones as 32-bit."""
    return Batch(*(x.astype(dtype if x.dtype.kind == "f" else "int32", copy=False) for x in batch))


def probe_batch(probes: Probes, dtype: DTypeLike) -> Batch:
    """The recorded points where JAX computes."""
    return on_device(Batch(probes.inputs, probes.answers), dtype)
