"""Models on PyTorch's meta device, whose numbers are drawn by the user's function or their modules."""

from collections.abc import Callable
from typing import Any

from widthwise.adapters.torch_isolation import require_torch
from widthwise.errors import InputError


def is_undrawn(model: Any) -> bool:
    """Whether a tensor of the model has no numbers yet."""
    return any(p.is_meta for p in model.parameters())


def draw(model: Any, init: Callable[[Any], Any] | None) -> None:
    """Give all tensors their numbers: by `init(model)`, or by `reset_parameters` of each module that has it.

    **Errors:** `InputError` naming a tensor or buffer that got none.
    """
    torch = require_torch()
    with torch.no_grad():
        named = [*model.named_parameters(), *model.named_buffers()]
        for _, tensor in named:
            if tensor.is_floating_point():
                tensor.fill_(torch.nan)
        if init is not None:
            init(model)
        else:
            for module in model.modules():
                if callable(reset := getattr(module, "reset_parameters", None)):
                    reset()
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            if tensor.is_floating_point() and bool(torch.isnan(tensor).any()):
                raise InputError(
                    f"{name}: nothing draws it on the meta device; give `init`, a function of the model "
                    "that fills every tensor in place"
                )
