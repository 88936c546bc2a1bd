"""Random numbers that are drawn by others stay theirs: loading JAX draws from NumPy's global generator."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def random_states_kept() -> Iterator[None]:
    """Put the global generators of Python and NumPy back to where they were, whatever draws inside.

    A training that is seeded before its recorder is made must see the same numbers as without one.
    """
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
