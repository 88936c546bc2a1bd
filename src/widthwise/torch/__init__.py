"""PyTorch, public as `ww.torch`: recording a training, the rules of width for any model, checking one.

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
    from widthwise.torch.run_check import check

__all__ = [
    "DEFAULT",
    "ON_REQUEST",
    "Recorder",
    "check",
    "lightning_callback",
    "log_steps",
    "trainer_callback",
]


def __getattr__(name: str) -> Any:
    """The public name, imported now."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    with random_states_kept():
        if name == "check":
            from widthwise.torch.run_check import check

            return check
        import widthwise.adapters.torch as recording

    return getattr(recording, name)
