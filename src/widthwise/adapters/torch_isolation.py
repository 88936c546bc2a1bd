"""Measuring a module without leaving a trace in it, or in anything random."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from widthwise.adapters.random_state import random_states_kept
from widthwise.errors import InputError


def require_torch() -> Any:
    """PyTorch, or what to install."""
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError('PyTorch is not installed: pip install "widthwise[torch]"') from error
    return torch


@contextmanager
def untouched(model: Any, *, training: bool) -> Iterator[None]:
    """No gradients, no autocast, no compiled code inside; afterwards modes, buffers and random states are as
    before.

    Autocast is off because what it casts without gradients it would keep for the training's own pass.

    **Arguments:** `training`, the mode of all modules inside.
    """
    torch = require_torch()
    modes = [(module, module.training) for module in model.modules()]
    buffers = [
        (module._buffers, name, buffer, buffer.detach().clone())
        for module in model.modules()
        for name, buffer in module._buffers.items()
        if buffer is not None
    ]
    fast = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.enter_context(all_random_states_kept())
        stack.enter_context(torch.no_grad())
        for device in {p.device.type for p in model.parameters()} & {"cpu", "cuda"}:
            stack.enter_context(torch.autocast(device_type=device, enabled=False))
        if any(_is_compiled(module) for module in model.modules()):
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        try:
            torch.backends.mha.set_fastpath_enabled(
                False
            )  # it would pass by the modules inside, and their hooks
            for module, _ in modes:
                module.training = training
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)
            for module, mode in modes:
                module.training = mode
            for table, name, buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
                table[name] = buffer


@contextmanager
def all_random_states_kept() -> Iterator[None]:
    """Of the generators that code draws from without naming one; of CUDA's only if it is in use."""
    torch = require_torch()
    state = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    with random_states_kept():
        try:
            yield
        finally:
            torch.set_rng_state(state)
            if cuda is not None:
                torch.cuda.set_rng_state_all(cuda)


def _is_compiled(module: Any) -> bool:
    return "_orig_mod" in module._modules or getattr(module, "_compiled_call_impl", None) is not None
