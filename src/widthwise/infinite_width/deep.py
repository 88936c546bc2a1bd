"""Infinite width at any depth: one causal pass through the single-site processes of all layers."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from widthwise.data import Points
from widthwise.errors import InputError
from widthwise.infinite_width.deep_step import (
    DeepProcess,
    LayerDrift,
    LayerNoise,
    LayerPast,
    LayerRows,
    Past,
    Rows,
    advance,
)
from widthwise.infinite_width.order import OrderParameters, loss_per_point, split_losses
from widthwise.infinite_width.sites import gaussian_sites
from widthwise.study import Study


def deep_solver(study: Study, points: Points) -> Callable[[int], OrderParameters]:
    """A function of a replicate's number: its order parameters at the recorded steps."""
    process, steps = deep_process(study, points), study.recorded_steps()
    mean_loss = study.training.reduction == "mean"

    def solve(replicate: int) -> OrderParameters:
        noise = deep_noise(process, study.theory.sites, (study.theory.seed, replicate))
        return order_parameters(process, sweep(process, noise)[1], steps, mean_loss)

    return solve


def deep_process(study: Study, points: Points) -> DeepProcess:
    """The setting of `study` on `points`; a mean-reduced loss divides the rate by the training points."""
    training, train = study.training, points.train
    if training.optimizer != "gd":
        raise InputError(
            f"`training.optimizer` = {training.optimizer!r}: with more than one hidden layer the theory "
            'solves "gd"; a small learning rate approaches the flow'
        )
    rate = training.point_rate(train)
    return DeepProcess(
        input_kernel=jnp.asarray(points.input_kernel()),
        targets=jnp.asarray(points.targets, dtype=float),
        richness=jnp.asarray(study.network.richness, dtype=float),
        rate=jnp.asarray(rate, dtype=float),
        train=train,
        network=study.network,
        loss=training.loss,
        steps=int(study.recorded_steps()[-1]) + 1,
    )


def deep_noise(process: DeepProcess, sites: int, seed: tuple[int, ...]) -> tuple[LayerNoise, ...]:
    """Frozen Gaussians and signs of every layer, independent between layers; `sites` is a power of two.

    Sites come in pairs (u, r), (u, -r). The Gaussians of step 0 are scrambled Sobol points; those of later
    steps, which carry only what has changed, are pseudo-random.
    """
    points, outputs = process.targets.shape
    steps, depth = process.steps, process.network.hidden_layers
    drawn = []
    for layer in range(depth):
        first, last = layer == 0, layer == depth - 1
        kernel = np.asarray(process.input_kernel) if first else np.eye(points)
        each = outputs if last else points * outputs
        h, w, _ = gaussian_sites(kernel, each, sites, (*seed, layer), equal_weights=True)
        rng = np.random.default_rng((*seed, layer, 1))
        later_u = rng.standard_normal((sites // 2, 0 if first else steps - 1, points))
        later_r = rng.standard_normal((sites // 2, 0 if last else steps - 1, each))
        u = np.concatenate([h[:, None], np.concatenate([later_u, later_u])], axis=1)
        r = np.concatenate([w[:, None], np.concatenate([later_r, -later_r])], axis=1)
        # Both of a pair have the same signs, so that what is odd in r cancels.
        signs = (rng.choice([-1.0, 1.0], (sites // 2, steps, size)) for size in (points, points * outputs))
        sign_u, sign_r = (np.concatenate([sign, sign]) for sign in signs)
        drawn.append(LayerNoise(*(jnp.asarray(x) for x in (u, r, sign_u, sign_r))))
    return tuple(drawn)


def no_slots(process: DeepProcess) -> Rows:
    """Zero for every row of one step."""
    points, outputs = process.targets.shape
    steps, each = process.steps, points * outputs
    rows = LayerRows(
        phi=jnp.zeros((points, steps, points)),
        g=jnp.zeros((each, steps, each)),
        a=jnp.zeros((points, steps, each)),
        b=jnp.zeros((each, steps, points)),
    )
    return Rows((rows,) * process.network.hidden_layers, jnp.zeros((points, outputs)))


def no_past(process: DeepProcess, sites: int) -> Past:
    """The past before step 0."""
    points, outputs = process.targets.shape
    steps, each = process.steps, points * outputs
    on_points, on_outputs = jnp.zeros((sites, steps, points)), jnp.zeros((sites, steps, each))
    layer = LayerPast(
        phi=on_points,
        g=on_outputs,
        phi_r=on_points,
        g_r=on_outputs,
        phi_u=on_points,
        g_u=on_outputs,
        factor_u=jnp.zeros((steps, points, steps, points)),
        factor_r=jnp.zeros((steps, each, steps, each)),
    )
    return Past((layer,) * process.network.hidden_layers, jnp.zeros((steps, points, outputs)))


@eqx.filter_jit
def sweep(process: DeepProcess, noise: tuple[LayerNoise, ...]) -> tuple[Past, Rows, tuple[LayerDrift, ...]]:
    """All steps in order: the whole past, and rows and drifts of every step (a leading step axis)."""
    slots = no_slots(process)

    def step(past: Past, t: Int[Array, ""]):
        entries, rows, drifts = advance(process, past, noise, slots, t)
        return written(past, entries, t), (rows, drifts)

    past, (rows, drifts) = jax.lax.scan(step, no_past(process, len(noise[0].u)), jnp.arange(process.steps))
    return past, rows, drifts


def written(past: Past, entries: Past, t: Int[Array, ""]) -> Past:
    """The past with the entries of step `t` in their places."""
    update = jax.lax.dynamic_update_index_in_dim
    layers = []
    for old, new in zip(past.layers, entries.layers, strict=True):
        fields = (update(o, n, t, 1) for o, n in zip(old[:6], new[:6], strict=True))
        factors = (update(o, n, t, 0) for o, n in zip(old[6:], new[6:], strict=True))
        layers.append(LayerPast(*fields, *factors))
    return Past(tuple(layers), update(past.output, entries.output, t, 0))


def order_parameters(
    process: DeepProcess, rows: Rows, steps: Int[np.ndarray, " step"], mean_loss: bool
) -> OrderParameters:
    """Equal-time order parameters at the recorded `steps`, from the rows of all steps; differentiable."""
    points, outputs = process.targets.shape
    output = rows.output - rows.output[0] if process.network.centered else rows.output
    prediction = output[steps]
    losses = split_losses(loss_per_point(process.targets, prediction, process.loss), process.train, mean_loss)
    features = [process.input_kernel] + [row.phi[steps, :, steps, :] for row in rows.layers]
    blocks = [
        row.g[steps, :, steps, :].reshape(len(steps), points, outputs, points, outputs) for row in rows.layers
    ]
    gradients = [jnp.einsum("tmcnc->tmn", block) / outputs for block in blocks]
    # The tangent kernel pairs G^{l+1} with Phi^l; above the last layer G is one.
    tangent = features[-1] + sum(g * f for g, f in zip(gradients, features, strict=False))
    return OrderParameters(prediction, losses, jnp.stack(features[1:], 1), jnp.stack(gradients, 1), tangent)
