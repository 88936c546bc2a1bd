"""One network from initialization to its last recorded step: a pure function of its key."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt32

from widthwise.networks import MLP, Feedback, draw_feedback, initialize, predict, probe
from widthwise.study import Study
from widthwise.training.dynamics import advance, velocity_by_feedback, velocity_of
from widthwise.training.loss import total_loss

KERNELS = ("feature_kernel", "gradient_kernel", "tangent_kernel")


class Task(NamedTuple):
    """The points as arrays in the precision of training; training points first."""

    inputs: Float[Array, "point dimension"]
    targets: Float[Array, "point output"]


class Trajectory(NamedTuple):
    """What one network did. `quantities` by name, dimensions as in the schema; `diverged_at` is the first
    recorded step at which anything was not finite, -1 if none, and everything is NaN from there on."""

    quantities: dict[str, Float[Array, "..."]]
    diverged_at: Int[Array, ""]


def network_keys(ensemble_seed: int, seeds: Int[np.ndarray, "seed"], width: int) -> Key[Array, "seed"]:
    """The key of each network: it depends on (`ensemble.seed`, seed index, width) and on nothing else.

    Both halves of a 64-bit `ensemble_seed` count, in 32-bit mode too.
    """
    words = np.array([ensemble_seed >> 32 & 0xFFFFFFFF, ensemble_seed & 0xFFFFFFFF], dtype=np.uint32)
    return _fold(words, seeds.astype(np.uint32), np.uint32(width))


@jax.jit
def _fold(words: UInt32[Array, "2"], seeds: UInt32[Array, "seed"], width: UInt32[Array, ""]) -> Array:
    root = jax.random.wrap_key_data(words, impl="threefry2x32")
    return jax.vmap(lambda seed: jax.random.fold_in(jax.random.fold_in(root, seed), width))(seeds)


def train_network(key: Key[Array, ""], task: Task, study: Study, width: int, train: int) -> Trajectory:
    """Train one network and keep what the study records.

    A scan over recorded steps, within it a loop over the gap from one to the next, so that memory is that
    of the records and of one network, and one program serves every spacing of recorded steps.

    **Arguments:** `train`, the number of training points, first in `task`.
    """
    inputs, targets = task
    sizes = (inputs.shape[1], width, targets.shape[1])
    model = initialize(key, study.network, sizes, inputs.dtype)
    shape = (study.network.hidden_layers, width, targets.shape[1])
    feedback = draw_feedback(key, study.training.learning_rule, shape, inputs.dtype)
    origin = predict(model, inputs) if study.network.centered else jnp.zeros_like(targets)

    def loss_of(prediction: Float[Array, "point output"]) -> Float[Array, ""]:
        return total_loss(prediction - origin[:train], targets[:train], study.training)

    def training_loss(model: MLP) -> Float[Array, ""]:
        return loss_of(predict(model, inputs[:train]))

    def visit(
        carry: tuple[MLP, Array], gap: Int[Array, ""]
    ) -> tuple[tuple[MLP, Array], tuple[dict[str, Array], Array]]:
        model, healthy = carry
        if feedback is None:
            velocity = velocity_of(training_loss)
        else:
            velocity = velocity_by_feedback(loss_of, inputs[:train], feedback)
        model = jax.lax.fori_loop(0, gap, lambda _, m: advance(m, velocity, study.training), model)
        quantities = _quantities((model, feedback), task, study, train, origin)
        finite = jnp.array([jnp.isfinite(value).all() for value in quantities.values()]).all()
        healthy = healthy & finite
        kept = {name: jnp.where(healthy, quantities[name], jnp.nan) for name in study.record.quantities}
        return (model, healthy), (kept, healthy)

    steps = study.recorded_steps()
    gaps = jnp.asarray(np.diff(steps, prepend=0), dtype=jnp.int32)
    _, (kept, healthy) = jax.lax.scan(visit, (model, jnp.array(True)), gaps)
    first_bad = jnp.asarray(steps, dtype=jnp.int32)[jnp.argmin(healthy)]
    diverged_at = jnp.where(healthy.all(), -1, first_bad)
    return Trajectory({name: _layers_first(name, value) for name, value in kept.items()}, diverged_at)


def _quantities(
    network: tuple[MLP, Feedback | None],
    task: Task,
    study: Study,
    train: int,
    origin: Float[Array, "point output"],
) -> dict[str, Array]:
    """Everything recorded at one step; prediction and loss always, for they decide on divergence."""
    model, feedback = network
    wanted = [name for name in KERNELS if name in study.record.quantities]
    probed = probe(model, task.inputs, feedback) if wanted else None
    prediction = (probed.prediction if probed else predict(model, task.inputs)) - origin
    splits = [slice(None, train), slice(train, None)][: 1 + (train < len(task.inputs))]
    losses = [total_loss(prediction[split], task.targets[split], study.training) for split in splits]
    kernels = {name: getattr(probed, name) for name in wanted}
    return {"prediction": prediction, "loss": jnp.stack(losses), **kernels}


def _layers_first(name: str, value: Array) -> Array:
    """The scan stacks steps first; the schema puts layers before steps."""
    return jnp.moveaxis(value, 0, 1) if name in ("feature_kernel", "gradient_kernel") else value
