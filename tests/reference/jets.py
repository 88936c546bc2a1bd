"""Second-order Taylor arithmetic in NumPy: a value with its gradient and Hessian, for slow twins."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Jet:
    """An array with its explicit first and second derivatives.

    **Fields:** `value` (...); `first` (..., variable); `second` (..., variable, variable).
    """

    value: np.ndarray
    first: np.ndarray
    second: np.ndarray

    def __add__(self, other: "Jet") -> "Jet":
        return Jet(self.value + other.value, self.first + other.first, self.second + other.second)

    def __sub__(self, other: "Jet") -> "Jet":
        return self + other.times(-1.0)

    def __mul__(self, other: "Jet") -> "Jet":
        a, b = self, other
        cross = a.first[..., :, None] * b.first[..., None, :]
        return Jet(
            a.value * b.value,
            a.first * b.value[..., None] + a.value[..., None] * b.first,
            a.second * b.value[..., None, None]
            + a.value[..., None, None] * b.second
            + cross
            + np.swapaxes(cross, -1, -2),
        )

    def __getitem__(self, index: tuple) -> "Jet":
        """Indexing of the value's axes, which must all be named (slices, `None`, integers)."""
        return Jet(self.value[index], self.first[(*index, slice(None))], self.second[(*index, ...)])

    def times(self, factor: float | np.ndarray) -> "Jet":
        """Product with a constant of the value's shape."""
        factor = np.asarray(factor)
        return Jet(self.value * factor, self.first * factor[..., None], self.second * factor[..., None, None])

    def sum(self, axis: int) -> "Jet":
        """Sum over a non-negative axis of the value."""
        return Jet(self.value.sum(axis), self.first.sum(axis), self.second.sum(axis))

    def through(self, function: Function, derivative: Function, second_derivative: Function) -> "Jet":
        """The chain rule for an elementwise function."""
        slope, bend = derivative(self.value), second_derivative(self.value)
        return Jet(
            function(self.value),
            slope[..., None] * self.first,
            slope[..., None, None] * self.second
            + bend[..., None, None] * self.first[..., :, None] * self.first[..., None, :],
        )


def constant(value: np.ndarray, variables: int) -> Jet:
    """A jet that depends on no variable."""
    return Jet(value, np.zeros((*value.shape, variables)), np.zeros((*value.shape, variables, variables)))
