r"""The mean shift of networks of any depth, from populations that are networks of finite width.

Sites whose Gaussians are conditioned on what the weights have multiplied before (`DeepProcess.conditioned`)
are a network, exactly in law: S sites cost S (P T)^2 instead of S^2 P T. Let q(S) be an observable of S sites
and q(S/2) its mean over their two halves. To first order both are the same average over sites, so

$$ d = S \, [q(S/2) - q(S)] = \mathrm{shift}(q) + O(1/S) $$

has none of the scatter of order $\sqrt{S}$: its own is of order 1, and few populations are enough.
"""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from widthwise.infinite_width import InfiniteWidthSolution
from widthwise.infinite_width.causal_pass import causal_pass, deep_process, evaluations, order_parameters
from widthwise.infinite_width.deep_step import DeepProcess, LayerNoise
from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.infinite_width.replicates import orders_and_stderr
from widthwise.progress import SILENT, Progress

WIDTH = 256  # of the populations; more when there are many points
WIDTH_OVER_POINTS = 8
POPULATIONS = (16, 512)  # for each scrambling of the study: the fewer, the longer one takes
EFFORT = 6400  # populations times fields of a site, points x outputs x steps
SEED_OF_SHIFTS = 2


def deep_shifts(
    limit: InfiniteWidthSolution, *, progress: Progress = SILENT
) -> tuple[OrderParameters, OrderParameters]:
    """N (mean at width N - infinite width) of all order parameters at the recorded steps, standard errors.

    The error left by the next order is that of a network about `WIDTH` / 3 wide. NaN after a divergence.
    """
    study = limit.study
    blocks = study.theory.scramblings
    with jax.enable_x64(True):
        process = replace(deep_process(study, limit.points), conditioned=True)
        at = evaluations(study, limit.finite_steps)
        outputs = process.targets.size
        width = max(WIDTH, 2 ** int(np.ceil(np.log2(WIDTH_OVER_POINTS * outputs))))
        count = int(np.clip(EFFORT / (outputs * process.steps), *POPULATIONS))
        progress.start("mean shift", blocks)
        found = []
        for block in range(blocks):
            seed = np.random.default_rng((study.theory.seed, SEED_OF_SHIFTS, block)).integers(2**31)
            keys = jax.random.split(jax.random.key(seed), count)
            averages = shifts_of_populations(process, keys, width, jnp.asarray(at))
            found.append(jax.tree.map(np.asarray, averages))
            progress.advance()
    return orders_and_stderr(found, len(limit.steps))


@eqx.filter_jit
def shifts_of_populations(
    process: DeepProcess,
    keys: Key[Array, " population"],
    width: int,
    at: Int[Array, " step"],
) -> OrderParameters:
    """The mean of d over populations of `width` sites, one for each key."""

    def observed(noise: tuple[LayerNoise, ...]) -> OrderParameters:
        return order_parameters(process, causal_pass(process, noise)[1], at)

    def one(key: Key[Array, ""]) -> OrderParameters:
        noise = network_noise(process, width, key)
        halves = jax.tree.map(lambda leaf: leaf.reshape(2, width // 2, *leaf.shape[1:]), noise)
        narrow = jax.lax.map(observed, halves)
        return jax.tree.map(lambda n, w: width * (jnp.mean(n, axis=0) - w), narrow, observed(noise))

    return jax.tree.map(lambda leaf: jnp.mean(leaf, axis=0), jax.lax.map(one, keys))


def network_noise(process: DeepProcess, width: int, key: Key[Array, ""]) -> tuple[LayerNoise, ...]:
    """Independent Gaussians of every site: with a conditioned process, of one network of this width."""
    points, outputs = process.targets.shape
    steps, depth = process.steps, process.depth
    values, vectors = jnp.linalg.eigh(process.input_kernel)
    root = vectors * jnp.sqrt(jnp.maximum(values, 0.0))

    def normal(index: int, steps: int, size: int) -> Float[Array, "site step a"]:
        return jax.random.normal(jax.random.fold_in(key, index), (width, steps, size))

    drawn = []
    for layer in range(depth):
        u = normal(2 * layer, 1, points) @ root.T if layer == 0 else normal(2 * layer, steps, points)
        last = layer == depth - 1
        r = normal(2 * layer + 1, 1, outputs) if last else normal(2 * layer + 1, steps, points * outputs)
        drawn.append(LayerNoise(u, r))
    return tuple(drawn)
