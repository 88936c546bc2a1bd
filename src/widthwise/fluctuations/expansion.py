r"""Numbers that carry their finite-width corrections: the arithmetic of order 1/N.

A network of width N is N sites drawn at random. A number of site i in it is, to second order,

$$ x_i = x_i^{(0)} + N^{-1/2} \sum_k \xi_k x_{ik}^{(1)} + N^{-1} (x_i^{own} + x_i^{(2)}) $$

with one standard normal $\xi_k$ a principal mode of the population's scatter: `first` is the answer to each
mode, `second` the mean of what is quadratic in them, and `own` the answer to the influence of site i itself,
which moves the population that moves it back. Products and functions follow the rules of a second-order
expansion. The average over the population adds what the draw of sites does: its scatter along mode k,
<c_k x>, with the scores c of the modes, and the covariance of each site with its own influence.
**Source:** the influence form of Bordelon and Pehlevan, arXiv 2304.03408; derived in docs/theory.md.
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class Expansion(NamedTuple):
    """A number to second order. For a population average the last axis of all but `own` is 1.

    Of an average q: N Var = <own^2>, N (mean - infinite width) = `second`, and `own` is the influence
    of each site on q.
    """

    zeroth: Float[Array, "*axes site"]
    first: Float[Array, "*axes mode site"]
    own: Float[Array, "*axes site"]
    second: Float[Array, "*axes site"]


class ExpandedNumbers(eqx.Module):
    """Arithmetic of `Expansion`; implements `infinite_width.numbers.Numbers`.

    `scores`: of each site along each mode; uncorrelated over sites, mean 0, mean square 1. `weights` of
    the sites in every average; they add up to 1.
    """

    scores: Float[Array, "mode site"]
    weights: Float[Array, " site"]

    def constant(self, x: Float[Array, "*axes site"]) -> Expansion:
        """Numbers of the sites at initialization: drawn, and moved by nothing."""
        first = jnp.zeros((*x.shape[:-1], len(self.scores), x.shape[-1]), x.dtype)
        return Expansion(x, first, jnp.zeros_like(x), jnp.zeros_like(x))

    def apply(self, function: Callable[[Array], Array], x: Expansion) -> Expansion:
        """An elementwise function, by its first and second derivatives."""
        ones = jnp.ones_like(x.zeroth)

        def slope(at):
            return jax.jvp(function, (at,), (ones,))[1]

        value, (first, second) = function(x.zeroth), jax.jvp(slope, (x.zeroth,), (ones,))
        return _stored(
            Expansion(
                value,
                first[..., None, :] * x.first,
                first * x.own,
                first * x.second + 0.5 * second * jnp.sum(x.first**2, axis=-2),
            )
        )

    def multiply(self, u: Expansion, v: Expansion) -> Expansion:
        """The product; its second order holds the covariance of the factors."""
        return _stored(
            Expansion(
                u.zeroth * v.zeroth,
                u.zeroth[..., None, :] * v.first + u.first * v.zeroth[..., None, :],
                u.zeroth * v.own + u.own * v.zeroth,
                u.zeroth * v.second + u.second * v.zeroth + jnp.sum(u.first * v.first, axis=-2),
            )
        )

    def average(self, x: Expansion) -> Expansion:
        """The population average of a number of the sites."""
        share = self.weights[:, None]
        mean = x.zeroth @ share
        direct, answer = x.zeroth - mean, x.first @ share
        drawn = jnp.tensordot(direct, self.weights * self.scores, axes=(-1, -1))[..., None]
        own = direct + jnp.tensordot(answer[..., 0], self.scores, 1)
        return Expansion(mean, answer + drawn, own, (x.own + x.second) @ share)

    def variance(self, average: Expansion) -> Float[Array, "*axes"]:
        """N Var of a population average."""
        return average.own**2 @ self.weights

    def of_population(self, function: Callable[[Array], Array], x: Expansion) -> Expansion:
        """Any smooth function of the leading axes of a population average."""
        at = x.zeroth[..., 0]

        def slope(change):
            return jax.jvp(function, (at,), (change,))[1]

        def curvature(change):
            return jax.jvp(lambda p: jax.jvp(function, (p,), (change,))[1], (at,), (change,))[1]

        first, own = (jnp.moveaxis(leaf, -1, 0) for leaf in (x.first[..., 0], x.own))
        # <own own> is the whole covariance; the modes hold that of the training outputs alone.
        bend = jnp.tensordot(self.weights, jax.vmap(curvature)(own), 1)
        second = slope(x.second[..., 0]) + 0.5 * bend
        return Expansion(
            function(at)[..., None],
            jnp.moveaxis(jax.vmap(slope)(first), 0, -1)[..., None],
            jnp.moveaxis(jax.vmap(slope)(own), 0, -1),
            second[..., None],
        )

    def kernel(self, u: Expansion, pairs: tuple[np.ndarray, np.ndarray]) -> tuple[Array, Array]:
        """The kernel <u_a u_b> of fields `u` (output, point, site), mean over outputs, at `pairs` (a, b).

        **Returns:** the influence of each site (pair, site), and N (mean - infinite width) (pair,).
        """
        outputs, points, sites = u.zeroth.shape
        left, right = pairs
        each = answer = shift = jnp.zeros(())
        for c in range(outputs):  # plain matrix products: the only form in which these are fast
            zeroth, first = u.zeroth[c], u.first[c]
            weighted = (self.weights * zeroth).T / outputs
            change = (u.own[c] + u.second[c]) @ weighted
            half = (first.reshape(-1, sites) @ weighted).reshape(points, -1, points)
            flat = (first * jnp.sqrt(self.weights / outputs)).reshape(points, -1)
            each += zeroth[left] * zeroth[right] / outputs
            answer += half[left, :, right] + half[right, :, left]
            shift += change + change.T + flat @ flat.T
        influence = each - each @ self.weights[:, None] + answer @ self.scores
        return influence, shift[left, right]


def _stored(x: Expansion) -> Expansion:
    """Computed once; without this, XLA recomputes it inside each of the loops that read it."""
    return jax.lax.optimization_barrier(x)
