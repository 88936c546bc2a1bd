"""One network on a stream: its weights, one step of training, and what is recorded of it."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int, Key, Num

from widthwise.data import Batch, Probes
from widthwise.networks.build import blueprint
from widthwise.networks.parametrization import draw, rules_of
from widthwise.networks.trace import Trace
from widthwise.study import Study
from widthwise.training.loss import example_losses
from widthwise.training.optimizer import make_optimizer, make_schedule, tree_of

Tree = Any


class Samples(NamedTuple):
    """A batch, or the recorded points, as arrays of the device; see `Batch`."""

    inputs: Num[Array, "sample *shape"]
    answers: Num[Array, "sample _"]


class State(NamedTuple):
    """A network in training. `origin` holds the initial weights where something refers to them, else None."""

    weights: Tree
    optimizer: Any
    origin: Tree | None
    step: Int[Array, ""]


class Trainer:
    """How networks of one width are drawn, trained and seen; holds no arrays and never changes.

    **Arguments:** `shape` of one input and number of `outputs`, those of the stream.
    """

    def __init__(self, study: Study, shape: tuple[int, ...], outputs: int, width: int):
        network = study.network
        self.study, self.outputs, self.width = study, outputs, width
        self.blueprint = blueprint(network, shape, outputs, width)
        base = blueprint(network, shape, outputs, network.base_width)
        self.rules = rules_of(self.blueprint, base, network.parametrization)
        self.optimizer = make_optimizer(self.rules, study.training)
        # A network that starts at zero is centered as it is.
        self.centers = network.centered and network.readout != "zero"
        self.keeps_origin = self.centers or "forward_change_rms" in study.record.quantities

    def relative_rates(self, *, gradient_descent: bool) -> Tree:
        """Each tensor's rate over the learning rate; of gradient descent, or of the study's optimizer."""
        optimizer = "sgd" if gradient_descent else self.study.training.optimizer
        return tree_of(self.rules, lambda rule: jnp.asarray(rule.rate(optimizer), float))

    def rate(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """The learning rate eta_t."""
        return jnp.asarray(make_schedule(self.study.training)(step))

    def rates(self, state: State, batch: Samples) -> Tree:
        """The rate of every weight in the coming step; adam's over the root of its second moment, with the
        gradient of that step's batch in it."""
        rate = self.rate(state.step)
        rates = jax.tree.map(lambda relative: rate * relative, self.relative_rates(gradient_descent=False))
        if self.study.training.optimizer not in ("adam", "adamw"):
            return rates
        training = self.study.training
        coming = self.update(state, self.gradient(state, batch)[1])[1]
        share = 1 - training.beta2 ** (state.step + 1).astype(jnp.float32)
        return jax.tree.map(
            lambda rate, scale, square: rate * scale / (jnp.sqrt(square / share) + training.epsilon),
            rates,
            tree_of(self.rules, lambda rule: rule.gradient_scale),
            optax.tree_utils.tree_get(coming, "nu"),
        )

    def start(self, key: Key[Array, ""], dtype: DTypeLike = jnp.float32) -> State:
        """A network at initialization."""
        weights = draw(key, self.blueprint, self.rules, dtype)
        origin = jax.tree.map(jnp.copy, weights) if self.keeps_origin else None
        return State(weights, self.optimizer.init(weights), origin, jnp.zeros((), jnp.int32))

    def step(self, state: State, batch: Samples) -> State:
        """One step of training on a batch."""
        updates, optimizer = self.update(state, self.gradient(state, batch)[1])
        return state._replace(
            weights=optax.apply_updates(state.weights, updates), optimizer=optimizer, step=state.step + 1
        )

    def update(self, state: State, gradient: Tree) -> tuple[Tree, Any]:
        """What a gradient adds to the weights, and the optimizer's next state."""
        return self.optimizer.update(gradient, state.optimizer, state.weights)

    def gradient(self, state: State, batch: Samples) -> tuple[Float[Array, ""], Tree]:
        """The loss of a batch, and its gradient."""
        return jax.value_and_grad(lambda weights: self.loss(weights, state.origin, batch))(state.weights)

    def loss(self, weights: Tree, origin: Tree | None, batch: Samples) -> Float[Array, ""]:
        """The sum or the mean over samples of the loss of the centered output."""
        output = self.centered(weights.trace(batch.inputs).output, origin, batch.inputs)
        each = example_losses(output, batch.answers, self.study.training)
        return each.mean() if self.study.training.reduction == "mean" else each.sum()

    def centered(
        self, output: Float[Array, "..."], origin: Tree | None, inputs: Num[Array, "..."]
    ) -> Float[Array, "..."]:
        """Output minus that of the initial weights, if the study centers."""
        return output - origin.trace(inputs).output if self.centers and origin is not None else output

    def trace(self, state: State, probes: Samples) -> Trace:
        """The forward pass at the recorded points, its output centered."""
        trace = state.weights.trace(probes.inputs)
        return trace._replace(output=self.centered(trace.output, state.origin, probes.inputs))


def last_output(output: Float[Array, "point *position output"]) -> Float[Array, "point output"]:
    """What is recorded as the prediction: of texts, that for the token after the last position."""
    return output if output.ndim == 2 else output[:, -1]


def probe_samples(probes: Probes, dtype: DTypeLike = jnp.float32) -> Samples:
    """The recorded points as arrays of the training's precision; tokens stay whole numbers."""
    return on_device(as_batch(Batch(probes.inputs, probes.answers), dtype))


def on_device(batch: Batch) -> Samples:
    """The same numbers where JAX computes."""
    return Samples(jnp.asarray(batch.inputs), jnp.asarray(batch.answers))


def as_batch(batch: Batch, dtype: DTypeLike) -> Batch:
    """A batch with real numbers in the precision of training, whole ones as 32-bit."""
    return Batch(*(x.astype(dtype if x.dtype.kind == "f" else "int32", copy=False) for x in batch))
