"""Everything that a study records of one network at one step."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from widthwise.data import Batch
from widthwise.networks import MLP, probe
from widthwise.networks.trace import Trace
from widthwise.records.schema import with_errors
from widthwise.training.loss import example_losses
from widthwise.training.measures.sharpness import preconditioned_sharpness
from widthwise.training.measures.tangent import choose_block, spectrum, tangent_kernel
from widthwise.training.measures.traces import (
    feature_kernels,
    first_attention,
    forward_change_rms,
    forward_rms,
    preactivation_quantiles,
    tensor_rms,
)
from widthwise.training.memory_limits import OF_TANGENT_KERNEL, TANGENT_BYTES
from widthwise.training.trainer import Move, State, Trainer, last_output

ALWAYS = ("prediction", "loss")


class Seen(NamedTuple):
    """The recorded points of one network: `base`, the output there that is subtracted, and the `initial`
    forward pass, each None where nothing wants it."""

    points: Batch
    base: Array | None
    initial: Trace | None


def see(trainer: Trainer, state: State, points: Batch) -> Seen:
    """The recorded points, and what of the initial network is compared with later ones there."""
    wanted = "forward_change_rms" in trainer.study.record.quantities
    initial = trainer.trace(state.origin, points.inputs, None) if wanted else None
    return Seen(points, trainer.base(state, points.inputs), initial)


def measure(
    trainer: Trainer, state: State, seen: Seen, coming: tuple[Batch, Array | None, Move]
) -> dict[str, Array]:
    """Each recorded quantity by its name, with the dimensions of the schema but `step`.

    **Arguments:** `coming`, the batch of the coming step, its base and its move: of these are `batch_loss`,
    `gradient_rms`, `update_rms` and full-batch `sharpness`; of `seen` are all others.
    """
    study, points = trainer.study, seen.points
    wanted, move = set(study.record.quantities), coming[2]
    trace = trainer.trace(state.weights, points.inputs, seen.base)
    layers = tuple(trace.layers)
    each = example_losses(trace.output, points.answers, study.training)
    found: dict[str, Array] = {
        "prediction": last_output(trace.output),
        "loss": _by_split(each, trainer.recorded_train, study.training.reduction == "mean"),
    }

    def add(names: tuple[str, ...], compute: Callable[[], tuple[Array, ...]]) -> None:
        """What is not wanted is not even traced."""
        if wanted & set(names):
            found.update(zip(names, compute(), strict=True))

    def changes() -> tuple[Array]:
        assert seen.initial is not None
        return (forward_change_rms(trace, seen.initial, layers),)

    add(("example_loss",), lambda: (each,))
    add(("feature_kernel",), lambda: (feature_kernels(trace, layers),))
    add(("preactivation_quantile",), lambda: (preactivation_quantiles(trace, layers),))
    add(("attention",), lambda: (first_attention(trace, tuple(trace.attention)),))
    add(("forward_rms",), lambda: (forward_rms(trace, layers),))
    add(("forward_change_rms",), changes)
    add(("weight_rms",), lambda: (tensor_rms(state.weights),))
    add(("batch_loss",), lambda: (move.loss,))
    add(("gradient_rms",), lambda: (tensor_rms(move.gradient),))
    add(("update_rms",), lambda: (tensor_rms(move.update),))
    add(("gradient_kernel",), lambda: (_probe(trainer, state, points.inputs)[0],))
    add(OF_TANGENT_KERNEL, lambda: _tangent(trainer, state, points))
    add(("sharpness", "sharpness_residual"), lambda: _sharpness(trainer, state, seen, coming))
    kept = {*ALWAYS, *with_errors(wanted)}
    return {name: value for name, value in found.items() if name in kept}


def _by_split(each: Float[Array, " point"], train: int, mean: bool) -> Float[Array, " split"]:
    parts = [each[:train], each[train:]]
    return jnp.stack([part.mean() if mean else part.sum() for part in parts if part.size])


def _probe(trainer: Trainer, state: State, inputs: Num[Array, "point *shape"]) -> tuple[Array, Array]:
    """Gradient and tangent kernel of a perceptron, from one backward pass."""
    model, rates = state.weights, jax.tree.leaves(trainer.relative_rates(gradient_descent=True))
    # The richness is in the scale of the output alone: gradients over gamma, squared, times gamma^2 N.
    shares = jnp.stack(rates) * trainer.output_scale**2 / trainer.width
    found = probe(model, inputs.reshape(len(inputs), -1), state.feedback, shares)
    return found.gradient_kernel, found.tangent_kernel


def _tangent(trainer: Trainer, state: State, points: Batch) -> tuple[Array, Array, Array]:
    study, kernel = trainer.study, _tangent_kernel(trainer, state, points.inputs)
    answers = points.answers
    if jnp.issubdtype(answers.dtype, jnp.integer):
        answers = jax.nn.one_hot(answers[:, -1], trainer.outputs, dtype=kernel.dtype)
    found = spectrum(kernel, answers, trainer.recorded_train, study.record.modes)
    return kernel, found.eigenvalue, found.task_power


def _tangent_kernel(
    trainer: Trainer, state: State, inputs: Num[Array, "point *shape"]
) -> Float[Array, "point point"]:
    network = trainer.study.network
    if isinstance(state.weights, MLP):
        return _probe(trainer, state, inputs)[1]

    def output_of(weights: Any, inputs: Array) -> Float[Array, "point output"]:
        return last_output(weights.trace(inputs).output)

    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.weights))
    block = choose_block(parameters, len(inputs), trainer.outputs, TANGENT_BYTES)
    rates = trainer.relative_rates(gradient_descent=True)
    coupled = (network.kind, network.normalization) == ("resnet", "batch")
    return tangent_kernel(output_of, state.weights, rates, inputs, block=block, coupled=coupled)


def _sharpness(
    trainer: Trainer, state: State, seen: Seen, coming: tuple[Batch, Array | None, Move]
) -> tuple[Array, Array]:
    """Of the loss over the whole training set where a batch is that, else over the recorded points."""
    batch, base, move = coming
    if not trainer.full_batch:
        count = trainer.recorded_train or len(seen.points.inputs)
        batch = Batch(seen.points.inputs[:count], seen.points.answers[:count])
        base = None if seen.base is None else seen.base[:count]
    return preconditioned_sharpness(
        lambda weights: trainer.loss(weights, batch, base),
        state.weights,
        trainer.rates(state, move),
        jax.random.key(0),
    )
