r"""Order 1/N without derivatives, from populations that are networks of finite width.

With q(S) an observable of a network of S neurons, over many networks

$$ V(S) = S \, \mathrm{Var}\, q(S) = N \mathrm{Var}\, q + O(1/S), \qquad
   d(S) = S \, \langle q(S/2) - q(S) \rangle = \mathrm{shift}(q) + O(1/S), $$

q(S/2) the mean of the network's two halves, each a network too: to first order it is q(S), so that d has none
of the scatter of order sqrt(S). Halves of halves give V(S/2) and d(S/2), and 2 V(S) - V(S/2), 2 d(S) - d(S/2)
are right to O(1/S^2). No neuron's path is differentiated, so none that is unstable can own an average.
**Source:** Bordelon and Pehlevan, arXiv 2304.03408, for what is estimated.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from widthwise.infinite_width.causal_pass import causal_pass, order_parameters
from widthwise.infinite_width.deep_step import DeepProcess, LayerNoise
from widthwise.infinite_width.one_hidden_layer import population_averages
from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.infinite_width.site import Population, Site, SiteProcess

LEVELS = 3  # networks of S, S/2 and S/4 neurons


@runtime_checkable
class Networks(Protocol):
    """Networks of finite width whose neurons are the leading axis of every array."""

    def draw(self, key: Key[Array, ""], size: int) -> PyTree:
        """Neurons at initialization; any part of them is a network of its own."""
        ...

    def observe(self, neurons: PyTree) -> OrderParameters:
        """Order parameters of one network at the recorded steps."""
        ...


class ShallowNetworks(eqx.Module):
    """One hidden layer: independent neurons. `root` of the input kernel; steps are `gaps` apart."""

    process: SiteProcess
    root: Float[Array, "point point"]
    gaps: Int[Array, " step"]

    def draw(self, key: Key[Array, ""], size: int) -> Site:
        """h (site, point) ~ N(0, K^x) and w (site, output) ~ N(0, 1)."""
        points, outputs = self.process.targets.shape
        of_h, of_w = jax.random.split(key)
        h = jax.random.normal(of_h, (size, points)) @ self.root.T
        return Site(h, jax.random.normal(of_w, (size, outputs)))

    def observe(self, neurons: Site) -> OrderParameters:
        """See `Networks`."""
        count = len(neurons.h)
        population = Population(Site(neurons.h.T, neurons.w.T), jnp.full(count, 1 / count))
        return population_averages(self.process, population, self.gaps)


class DeepNetworks(eqx.Module):
    """Any depth: sites conditioned on what the weights have multiplied before (`DeepProcess.conditioned`) are
    a network, exactly in law, and cost S (P T)^2 instead of S^2 P T. `at`, the evaluations recorded."""

    process: DeepProcess
    at: Int[Array, " step"]

    def draw(self, key: Key[Array, ""], size: int) -> tuple[LayerNoise, ...]:
        """Independent Gaussians of every site and layer."""
        points, outputs = self.process.targets.shape
        steps, depth = self.process.steps, self.process.depth
        root = root_of(self.process.input_kernel)

        def normal(index: int, steps: int, columns: int) -> Float[Array, "site step a"]:
            return jax.random.normal(jax.random.fold_in(key, index), (size, steps, columns))

        drawn = []
        for layer in range(depth):
            u = normal(2 * layer, 1, points) @ root.T if layer == 0 else normal(2 * layer, steps, points)
            last = layer == depth - 1
            r = normal(2 * layer + 1, 1, outputs) if last else normal(2 * layer + 1, steps, points * outputs)
            drawn.append(LayerNoise(u, r))
        return tuple(drawn)

    def observe(self, neurons: tuple[LayerNoise, ...]) -> OrderParameters:
        """See `Networks`."""
        return order_parameters(self.process, causal_pass(self.process, neurons)[1], self.at)


def root_of(kernel: Float[Array, "point point"]) -> Float[Array, "point point"]:
    """R with R R^T = kernel."""
    values, vectors = jnp.linalg.eigh(kernel)
    return vectors * jnp.sqrt(jnp.maximum(values, 0.0))


class Estimates(NamedTuple):
    """Of one block of populations, by level (S, S/2, ...): V, d (one level fewer), and N Cov(f(t), f(s))."""

    variance: OrderParameters
    shift: OrderParameters
    two_time: Float[Array | np.ndarray, "level step step point output"]


@eqx.filter_jit
def block_estimates(
    networks: Networks, keys: Key[Array, " population"], size: int, levels: int = LEVELS
) -> Estimates:
    """V and d at every level, from one population of `size` neurons for each key."""
    sizes = [size // 2**level for level in range(levels)]

    def nested(key: Key[Array, ""]) -> tuple[OrderParameters, ...]:
        neurons = networks.draw(key, size)
        parts = (
            jax.tree.map(lambda leaf, count=count: leaf.reshape(-1, count, *leaf.shape[1:]), neurons)
            for count in sizes
        )
        return tuple(jax.lax.map(networks.observe, part) for part in parts)

    found = jax.lax.map(nested, keys)  # of each level (population, part, ...)
    every = [jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), level) for level in found]
    variance = [
        jax.tree.map(lambda leaf, count=count: count * jnp.var(leaf, axis=0, ddof=1), level)
        for count, level in zip(sizes, every, strict=True)
    ]
    shift = [
        jax.tree.map(lambda w, h, count=count: count * (h.mean(0) - w.mean(0)), whole, halves)
        for count, whole, halves in zip(sizes, every, every[1:], strict=False)
    ]
    two_time = []
    for count, level in zip(sizes, every, strict=True):
        deviation = level.prediction - level.prediction.mean(0)
        product = jnp.einsum("ktpc,kspc->tspc", deviation, deviation) / (len(deviation) - 1)
        two_time.append(count * product)
    variances, shifts = (jax.tree.map(lambda *leaves: jnp.stack(leaves), *each) for each in (variance, shift))
    return Estimates(variances, shifts, jnp.stack(two_time))
