"""Recording from any training code, and opening what was recorded. Begin at `writer.py`."""

from typing import Any

from widthwise.adapters.random_state import random_states_kept

with random_states_kept():
    from widthwise.adapters.collect import open_runs
    from widthwise.adapters.pytree import TreeRecorder, jax_recorder, tree_rms, tree_shapes
    from widthwise.adapters.steps import log_steps
    from widthwise.adapters.writer import RecordWriter

__all__ = [
    "RecordWriter",
    "TreeRecorder",
    "jax_recorder",
    "log_steps",
    "open_runs",
    "torch",  # pyright: ignore[reportUnsupportedDunderAll]
    "tree_rms",
    "tree_shapes",
]


def __getattr__(name: str) -> Any:
    """The recorder for PyTorch, read when it is first asked for."""
    if name != "torch":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with random_states_kept():
        import widthwise.adapters.torch as module

    return module
