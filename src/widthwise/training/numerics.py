"""The precision of a computation, products included."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax


@contextmanager
def numerics(precision: str) -> Iterator[None]:
    """JAX settings of one precision for this thread: true float32 or float64, products included."""
    with jax.enable_x64(precision == "float64"), jax.default_matmul_precision("highest"):
        yield
