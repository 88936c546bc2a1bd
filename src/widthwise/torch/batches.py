"""The batches of a check: drawn once, the same for every width and seed."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from widthwise.adapters.torch_isolation import require_torch
from widthwise.errors import InputError
from widthwise.torch.user_code import failures_told, with_width


class Batches:
    """Batch t of a width, on a device: `batches.of(width)[t]`.

    **Arguments:** `given`, batches, or a function of the step, or of (step, width) where the user's training
    takes others at other widths; `steps`, how many there must be.
    **Errors:** `InputError` if there are fewer, or if it is neither.
    """

    def __init__(self, given: Iterable[Any] | Callable[..., Any], steps: int, device: Any):
        self._steps, self._device, self._given = steps, device, given
        self._known: dict[int | None, list[Any]] = {}
        if not callable(given):
            self._known[None] = _listed(given, steps, device)

    def of(self, width: int) -> list[Any]:
        """All of them; drawn when a width is first asked for, where they come from a function."""
        if not callable(self._given):
            return self._known[None]
        if width not in self._known:
            with failures_told("`batches`"):
                drawn = [with_width(self._given, step, width) for step in range(self._steps)]
            self._known[width] = [on_device(each, self._device) for each in drawn]
        return self._known[width]


def _listed(given: Any, steps: int, device: Any) -> list[Any]:
    if not isinstance(given, Iterable) or isinstance(given, str | Mapping):
        raise InputError(
            f"`batches` is a {type(given).__name__}: give a list of batches, or a function of the step"
        )
    with failures_told("`batches`"):
        drawn = list(itertools.islice(given, steps))
    if len(drawn) < steps:
        fewer = f", or steps={len(drawn)}" if len(drawn) > 1 else ""
        raise InputError(
            f"`batches` ran out after {len(drawn)} of {steps} steps: give {steps} batches or a function of "
            f"the step{fewer}"
        )
    return [on_device(each, device) for each in drawn]


def on_device(value: Any, device: Any) -> Any:
    """Tensors there, arrays of numbers as tensors, also in tuples, lists and dictionaries."""
    if callable(getattr(value, "to", None)):
        return value.to(device)
    if type(value).__module__ == "numpy" and hasattr(value, "dtype") and value.dtype.kind in "biuf":
        return require_torch().as_tensor(value).to(device)
    return changed(value, lambda each: on_device(each, device))


def first_points(value: Any, points: int) -> Any:
    """The first `points` of every tensor that has as many as the first one."""
    torch = require_torch()
    found = [each for each in _leaves(value) if isinstance(each, torch.Tensor) and each.ndim]

    def cut(each: Any) -> Any:
        if isinstance(each, torch.Tensor):
            return each[:points] if each.ndim and len(each) == len(found[0]) else each
        return changed(each, cut)

    return cut(value) if found and len(found[0]) > points else value


def changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """A dictionary, list or tuple with its entries changed; all else as it is."""
    if isinstance(value, dict):
        return {name: change(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        entries = [change(each) for each in value]
        return type(value)(*entries) if hasattr(value, "_fields") else type(value)(entries)
    return value


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    return [leaf for each in value for leaf in _leaves(each)] if isinstance(value, tuple | list) else [value]
