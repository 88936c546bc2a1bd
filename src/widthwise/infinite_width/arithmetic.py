"""The arithmetic a single-site program is written in, so that one program serves every order in 1/N.

A number has leading axes (points, outputs) and a last axis: `site`, or 1 for a population average, which
all sites share. `PlainNumbers` are arrays: the infinitely wide network. `fluctuations.expansion` has
numbers that carry their 1/N corrections along.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Number = Any  # an array, or a pytree of arrays with the same leading axes


@runtime_checkable
class Numbers(Protocol):
    """What a single-site program may do with numbers, besides linear maps of their leading axes."""

    def apply(self, function: Callable[[Array], Array], x: Number) -> Number:
        """An elementwise function."""
        ...

    def multiply(self, u: Number, v: Number) -> Number:
        """The elementwise product, broadcasting."""
        ...

    def average(self, x: Number) -> Number:
        """The population average: last axis 1."""
        ...

    def of_population(self, function: Callable[[Array], Array], x: Number) -> Number:
        """Any smooth function of the leading axes of a population average."""
        ...


class PlainNumbers(eqx.Module):
    """Arrays: the population is infinitely wide; sites are points of integration with `weights`."""

    weights: Float[Array, " site"]

    def apply(self, function: Callable[[Array], Array], x: Float[Array, "..."]) -> Float[Array, "..."]:
        """See `Numbers`."""
        return function(x)

    def multiply(self, u: Float[Array, "..."], v: Float[Array, "..."]) -> Float[Array, "..."]:
        """See `Numbers`."""
        return u * v

    def average(self, x: Float[Array, "*axes site"]) -> Float[Array, "*axes 1"]:
        """See `Numbers`."""
        return x @ self.weights[:, None]

    def of_population(self, function: Callable[[Array], Array], x: Float[Array, "*axes 1"]) -> Array:
        """See `Numbers`."""
        return function(x[..., 0])[..., None]


def leading(x: Number, operation: Callable[[Array], Array]) -> Number:
    """A linear operation on the leading axes, of every component alike."""
    return jax.tree.map(operation, x)


def total(x: Number, axis: int) -> Number:
    """The sum over a leading axis; as a matrix product, several times faster on CPUs than a reduction."""

    def add_up(leaf: Array) -> Array:
        return jnp.tensordot(jnp.ones(leaf.shape[axis], leaf.dtype), leaf, axes=(0, axis))

    return leading(x, add_up)


def plus(u: Number, v: Number, factor: Float[Array, ""] | float = 1.0) -> Number:
    """u + factor v, of equal structure."""
    return jax.tree.map(lambda a, b: a + factor * b, u, v)
