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
    from widthwise.torch.built import Parametrized
    from widthwise.torch.clip import clip_grad_norm
    from widthwise.torch.parametrized import parametrize
    from widthwise.torch.run_check import check

__all__ = [
    "DEFAULT",
    "ON_REQUEST",
    "Parametrized",
    "Recorder",
    "check",
    "clip_grad_norm",
    "lightning_callback",
    "log_steps",
    "parametrize",
    "trainer_callback",
]


def __getattr__(name: str) -> Any:
    """The public name, imported now."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    with random_states_kept():
        if name == "check":
            import widthwise.torch.run_check as home
        elif name == "clip_grad_norm":
            import widthwise.torch.clip as home
        elif name == "Parametrized":
            import widthwise.torch.built as home
        elif name == "parametrize":
            import widthwise.torch.parametrized as home
        else:
            import widthwise.adapters.torch as home
    return getattr(home, name)
