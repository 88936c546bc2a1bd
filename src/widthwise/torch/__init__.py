"""PyTorch, public as `ww.torch`: recording a training, and the rules of width for any model.

Names are imported when they are first used; none of them loads JAX, which would take an accelerator's memory.
"""

from typing import TYPE_CHECKING, Any

from widthwise.adapters.random_state import random_states_kept

if TYPE_CHECKING:
    from widthwise.adapters.torch import (
        DEFAULT,
        ON_REQUEST,
        Recorder,
        lightning_callback,
        log_steps,
        trainer_callback,
    )

__all__ = [
    "DEFAULT",
    "ON_REQUEST",
    "Recorder",
    "lightning_callback",
    "log_steps",
    "trainer_callback",
]


def __getattr__(name: str) -> Any:
    """The public name, imported now."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    with random_states_kept():
        import widthwise.adapters.torch as recording

    return getattr(recording, name)
