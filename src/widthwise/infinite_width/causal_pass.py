"""Infinite width at any depth: one causal pass through the single-site processes of all layers."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int
from scipy.linalg import solve_triangular

from widthwise.data import Points
from widthwise.infinite_width.activations import activation_of
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
from widthwise.infinite_width.learning_rules import RULES
from widthwise.infinite_width.order_parameters import OrderParameters, loss_per_point, split_losses
from widthwise.infinite_width.sites import gaussian_sites
from widthwise.infinite_width.solution_memory import require_memory_for_pass
from widthwise.infinite_width.time_grid import time_grid
from widthwise.study import Study


def deep_solver(study: Study, points: Points) -> Callable[[int], OrderParameters]:
    """A function of a replicate's number: its order parameters at the recorded steps."""
    at = evaluations(study, study.recorded_steps())
    require_memory_for_pass(study, points)
    process = deep_process(study, points)

    def solve(replicate: int) -> OrderParameters:
        noise = deep_noise(process, study.theory.sites, (study.theory.seed, replicate))
        return order_parameters(process, causal_pass(process, noise)[1], at)

    return solve


def deep_process(study: Study, points: Points) -> DeepProcess:
    """The setting of `study` on `points`; a mean-reduced loss divides the rate by the training points."""
    grid = time_grid(study.training, points.train, int(study.recorded_steps()[-1]))
    return DeepProcess(
        input_kernel=jnp.asarray(points.input_kernel()),
        targets=jnp.asarray(points.targets, dtype=float),
        richness=jnp.asarray(study.network.richness, dtype=float),
        rates=jnp.asarray(grid.rates),
        activation=activation_of(study.network),
        depth=study.network.hidden_layers,
        train=points.train,
        centered=study.network.centered,
        loss=study.training.loss,
        mean_loss=study.training.reduction == "mean",
        steps=len(grid.rates),
        rule=RULES[study.training.learning_rule],
    )


def evaluations(study: Study, steps: Int[np.ndarray, " step"]) -> Int[np.ndarray, " step"]:
    """Which evaluation of `deep_process` each training step is: a flow has others between them."""
    return time_grid(study.training, 1, int(study.recorded_steps()[-1])).at[steps]


def deep_noise(
    process: DeepProcess, sites: int, seed: tuple[int, ...], *, signs: bool = False
) -> tuple[LayerNoise, ...]:
    """Frozen Gaussians of every layer, independent between layers; `sites` is a power of two.

    Sites come in pairs (u, r), (u, -r); with `signs`, random ones for tangents. The Gaussians of step 0 are
    scrambled Sobol points; those of later steps, which carry only what has changed, are pseudo-random. All
    have unit covariance in the sample, so
    that responses of what is linear in them are exact.
    """
    points, outputs = process.targets.shape
    steps, depth = process.steps, process.depth
    drawn = []
    for layer in range(depth):
        first, last = layer == 0, layer == depth - 1 or process.rule is RULES["direct_feedback_alignment"]
        kernel = np.asarray(process.input_kernel) if first else np.eye(points)
        each = outputs if last else points * outputs
        h, w, _ = gaussian_sites(kernel, each, sites, (*seed, layer), equal_weights=True)
        half = sites // 2
        u = h[:half, None] if first else _later(h[:half], steps, (*seed, layer, 1))
        r = w[:half, None] if last else _later(w[:half], steps, (*seed, layer, 2))
        pair = [np.concatenate([u, u]), np.concatenate([r, -r])]
        for kind, size in enumerate((points, points * outputs) if signs else ()):
            # Both of a pair have the same signs, so that what is odd in r cancels.
            rng = np.random.default_rng((*seed, layer, 3 + kind))
            sign = _orthonormal(rng.choice([-1.0, 1.0], (steps, half, size)).swapaxes(0, 1))
            pair.append(np.concatenate([sign, sign]))
        drawn.append(LayerNoise(*(jnp.asarray(x) for x in pair)))
    return tuple(drawn)


def _later(first: np.ndarray, steps: int, seed: tuple[int, ...]) -> np.ndarray:
    """White Gaussians (site, step, a) that begin with `first`, whose mean is zero."""
    drawn = np.random.default_rng(seed).standard_normal((steps - 1, *first.shape))
    drawn -= drawn.mean(axis=1, keepdims=True)
    return _orthonormal(np.concatenate([first[None], drawn]).swapaxes(0, 1))


def _orthonormal(white: np.ndarray) -> np.ndarray:
    """White noise (site, step, a), given unit covariance in the sample if it can be; in the order of time."""
    columns = white.reshape(len(white), -1)
    if len(columns) <= columns.shape[1]:
        return white
    factor = np.linalg.cholesky(columns.T @ columns / len(white))
    return solve_triangular(factor, columns.T, lower=True).T.reshape(white.shape)


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
    return Rows((rows,) * process.depth, jnp.zeros((points, outputs)))


def no_past(process: DeepProcess, sites: int, copies: int = 1, dtype: DTypeLike = float) -> Past:
    """The past before step 0; three copies where noise has signs, else one."""
    points, outputs = process.targets.shape
    steps, each = process.steps, points * outputs
    on_points, on_outputs = (jnp.zeros((sites, steps, size), dtype) for size in (points, each))
    layers = (
        LayerPast(
            phi=jnp.stack([on_points] * copies),
            g=jnp.stack([on_outputs] * copies),
            white_u=on_points if process.conditioned and layer > 0 else None,
            white_r=on_outputs if process.conditioned and layer < process.depth - 1 else None,
            factor_u=jnp.zeros((steps, points, steps, points)),
            factor_r=jnp.zeros((steps, each, steps, each)),
        )
        for layer in range(process.depth)
    )
    return Past(tuple(layers), jnp.zeros((steps, points, outputs)))


@eqx.filter_jit
def causal_pass(
    process: DeepProcess, noise: tuple[LayerNoise, ...]
) -> tuple[Past, Rows, tuple[LayerDrift, ...]]:
    """All steps in order: the whole past, and rows and drifts of every step (a leading step axis)."""
    slots = no_slots(process)

    def step(past: Past, t: Int[Array, ""]):
        entries, rows, drifts = advance(process, past, noise, slots, t)
        return written(past, entries, t), (rows, drifts)

    copies = 1 if noise[0].sign_u is None else 3
    start = no_past(process, len(noise[0].u), copies, noise[0].u.dtype)
    past, (rows, drifts) = jax.lax.scan(step, start, jnp.arange(process.steps))
    return past, rows, drifts


def written(past: Past, entries: Past, t: Int[Array, ""]) -> Past:
    """The past with the entries of step `t` in their places."""
    update = jax.lax.dynamic_update_index_in_dim
    layers = []
    for old, new in zip(past.layers, entries.layers, strict=True):
        fields = (update(o, n, t, 2) for o, n in zip(old[:2], new[:2], strict=True))
        whites = (o if o is None else update(o, n, t, 1) for o, n in zip(old[2:4], new[2:4], strict=True))
        factors = (update(o, n, t, 0) for o, n in zip(old[4:], new[4:], strict=True))
        layers.append(LayerPast(*fields, *whites, *factors))
    return Past(tuple(layers), update(past.output, entries.output, t, 0))


@eqx.filter_jit
def order_parameters(
    process: DeepProcess, rows: Rows, at: Int[np.ndarray | Array, " step"]
) -> OrderParameters:
    """Equal-time order parameters at the evaluations `at`, from the rows of all; differentiable."""
    points, outputs = process.targets.shape
    output = rows.output - rows.output[0] if process.centered else rows.output
    prediction = output[at]
    losses = split_losses(
        loss_per_point(process.targets, prediction, process.loss), process.train, process.mean_loss
    )
    features = [process.input_kernel] + [row.phi[at, :, at, :] for row in rows.layers]

    def over_outputs(row: Float[Array, "step K step K"]) -> Float[Array, "recorded point point"]:
        block = row[at, :, at, :].reshape(len(at), points, outputs, points, outputs)
        return jnp.einsum("tmcnc->tmn", block) / outputs

    gradients = [over_outputs(row.g) for row in rows.layers]
    # The tangent kernel pairs G^{l+1}, or what a learning rule has in its place, with Phi^l; above the last
    # layer G is one.
    paired = [over_outputs(row.g if row.alignment is None else row.alignment) for row in rows.layers]
    tangent = features[-1] + sum(g * f for g, f in zip(paired, features, strict=False))
    return OrderParameters(prediction, losses, jnp.stack(features[1:], 1), jnp.stack(gradients, 1), tangent)
