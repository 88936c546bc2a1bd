"""Recording from any training code, and opening what was recorded. Begin at `writer.py`.

Names are imported when they are first used: what records a PyTorch training loads no JAX.
"""

from typing import TYPE_CHECKING, Any

from widthwise.adapters.random_state import random_states_kept

if TYPE_CHECKING:
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
    "tree_rms",
    "tree_shapes",
]


def __getattr__(name: str) -> Any:
    """The public name, imported now."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with random_states_kept():
        if name == "open_runs":
            import widthwise.adapters.collect as home
        elif name == "log_steps":
            import widthwise.adapters.steps as home
        elif name == "RecordWriter":
            import widthwise.adapters.writer as home
        else:
            import widthwise.adapters.pytree as home
    return getattr(home, name)
