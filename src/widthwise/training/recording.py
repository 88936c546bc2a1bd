"""Everything that a study records of one network at one step."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from widthwise.data import Probes
from widthwise.networks.trace import Trace
from widthwise.records.schema import RECORDED_WITH
from widthwise.training.loss import example_losses
from widthwise.training.measures import (
    OF_TANGENT_KERNEL,
    choose_block,
    feature_kernels,
    first_attention,
    forward_change_rms,
    forward_rms,
    preactivation_quantiles,
    preconditioned_sharpness,
    spectrum,
    tangent_kernel,
    tensor_rms,
)
from widthwise.training.memory_limits import TANGENT_BYTES
from widthwise.training.stream_network import Samples, State, Trainer, Tree, last_output

ALWAYS = ("prediction", "loss")  # they decide on divergence


def measure(
    trainer: Trainer, probes: Probes, state: State, batch: Samples, points: Samples
) -> dict[str, Array]:
    """Each recorded quantity by its name, with the dimensions of the schema but `step`.

    **Arguments:** `batch`, that of the coming step: of its gradient are `batch_loss`, `gradient_rms` and
    `update_rms`; `points`, the recorded points as arrays, of which are all others.
    """
    wanted = set(trainer.study.record.quantities)
    trace = trainer.trace(state, points)
    layers = tuple(trace.layers)
    each = example_losses(trace.output, points.answers, trainer.study.training)
    found: dict[str, Array] = {
        "prediction": last_output(trace.output),
        "loss": _by_split(each, probes, trainer.study.training.reduction == "mean"),
    }

    def add(names: tuple[str, ...], compute: Callable[[], tuple[Array, ...]]) -> None:
        """What is not wanted is not even traced."""
        if wanted & set(names):
            found.update(zip(names, compute(), strict=True))

    add(("example_loss",), lambda: (each,))
    add(("feature_kernel",), lambda: (feature_kernels(trace, layers),))
    add(("preactivation_quantile",), lambda: (preactivation_quantiles(trace, layers),))
    add(("attention",), lambda: (first_attention(trace, tuple(trace.attention)),))
    add(("forward_rms",), lambda: (forward_rms(trace, layers),))
    add(("forward_change_rms",), lambda: (forward_change_rms(trace, _initial(state, points), layers),))
    add(("weight_rms",), lambda: (tensor_rms(state.weights),))
    add(("batch_loss", "gradient_rms", "update_rms"), lambda: _of_the_coming_step(trainer, state, batch))
    add(OF_TANGENT_KERNEL, lambda: _tangent(trainer, probes, state, points))
    add(("sharpness", "sharpness_residual"), lambda: _sharpness(trainer, probes, state, batch, points))
    kept = {*ALWAYS, *wanted, *(error for name in wanted for error in RECORDED_WITH.get(name, ()))}
    return {name: value for name, value in found.items() if name in kept}


def _by_split(each: Float[Array, " point"], probes: Probes, mean: bool) -> Float[Array, " split"]:
    parts = [each[: probes.train], each[probes.train :]]
    return jnp.stack([part.mean() if mean else part.sum() for part in parts if part.size])


def _initial(state: State, points: Samples) -> Trace:
    assert state.origin is not None
    return state.origin.trace(points.inputs)


def _of_the_coming_step(trainer: Trainer, state: State, batch: Samples) -> tuple[Array, Array, Array]:
    loss, gradient = trainer.gradient(state, batch)
    return loss, tensor_rms(gradient), tensor_rms(trainer.update(state, gradient)[0])


def _tangent(trainer: Trainer, probes: Probes, state: State, points: Samples) -> tuple[Array, Array, Array]:
    study = trainer.study

    def output_of(weights: Tree, inputs: Array) -> Float[Array, "point output"]:
        return last_output(weights.trace(inputs).output)

    parameters = sum(leaf.size for leaf in jax.tree.leaves(state.weights))
    block = choose_block(parameters, len(points.inputs), trainer.outputs, TANGENT_BYTES)
    rates = trainer.relative_rates(gradient_descent=True)
    batch_normalized = (study.network.kind, study.network.normalization) == ("resnet", "batch")
    kernel = tangent_kernel(
        output_of, state.weights, rates, points.inputs, block=block, coupled=batch_normalized
    )
    targets = jnp.asarray(probes.targets, kernel.dtype)
    found = spectrum(kernel, targets, probes.train, study.record.modes)
    return kernel, found.eigenvalue, found.task_power


def _sharpness(
    trainer: Trainer, probes: Probes, state: State, batch: Samples, points: Samples
) -> tuple[Array, Array]:
    """Of the loss over the whole training set where a batch is that, else over the recorded points."""
    count = probes.train or len(points.inputs)
    full = trainer.study.training.optimizer == "gd"
    over = batch if full else Samples(points.inputs[:count], points.answers[:count])
    return preconditioned_sharpness(
        lambda weights: trainer.loss(weights, state.origin, over),
        state.weights,
        trainer.rates(state, batch),
        jax.random.key(0),
    )
