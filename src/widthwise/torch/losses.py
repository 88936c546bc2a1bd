"""The loss of a batch from what the user gave: of (model, batch), or of (outputs, targets)."""

import inspect
from collections.abc import Callable
from typing import Any

from widthwise.adapters.torch_forward import call_model, tensor_in
from widthwise.adapters.torch_isolation import require_torch
from widthwise.adapters.torch_numbers import kind_of_loss
from widthwise.errors import InputError
from widthwise.torch.user_code import described, first_parameter

Loss = Callable[..., Any]
MODELS = ("model", "net", "network", "module")
OUTPUTS = (
    "input",
    "inputs",
    "output",
    "outputs",
    "out",
    "logits",
    "pred",
    "preds",
    "prediction",
    "predictions",
)
WRONG = "give `loss(model, batch)`, or a loss of (outputs, targets) for batches (inputs, targets)"


def is_of_outputs(loss: Loss, model: Any, batch: Any) -> bool:
    """Whether a loss is one of (outputs, targets): those of PyTorch, and others by the name of their first
    argument, or because a call with the model and a batch fails and one with outputs and targets does not.

    **Errors:** `InputError` if neither works.
    """
    torch = require_torch()
    if kind_of_loss(loss) is not None or isinstance(loss, torch.nn.modules.loss._Loss):
        return True
    name = first_parameter(loss)
    if name in MODELS or name in OUTPUTS or getattr(loss, "__module__", "") == "torch.nn.functional":
        return name not in MODELS
    failures = []
    for of_outputs in (False, True):
        try:
            with torch.no_grad():
                value(loss, of_outputs, model, batch)
            return of_outputs
        except Exception as error:
            failures.append(described(error).removesuffix(f": {WRONG}"))
    raise InputError(
        f"`loss` fails as a function of (model, batch): {failures[0]}; and of (outputs, targets): "
        f"{failures[1]}; {WRONG}"
    )


def value(loss: Loss, of_outputs: bool, model: Any, batch: Any) -> Any:
    """The loss, a tensor of one number.

    **Errors:** `InputError` if it is something else.
    """
    torch = require_torch()
    if of_outputs:
        inputs, targets = _pair(batch)
        found = loss(_plain(call_model(model, inputs)), targets)
    else:
        found = loss(model, batch)
    if not isinstance(found, torch.Tensor) or found.numel() != 1:
        shape = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
        raise InputError(f"`loss` returned {shape} and not a tensor of one number: {WRONG}")
    return found


def targets_told(loss: Loss, batch: Any) -> dict[str, Any]:
    """Targets of the probes and the loss on them, for `Recorder`."""
    _, targets = _pair(batch)
    if not isinstance(targets, require_torch().Tensor):
        return {}

    def on_probes(raw: Any, targets: Any) -> Any:
        return loss(_plain(raw), targets)

    return {"targets": targets, "loss_function": on_probes, "loss_kind": kind_of_loss(loss)}


def _plain(outputs: Any) -> Any:
    """The tensor of outputs, as of Hugging Face's models their logits."""
    found = tensor_in(outputs)
    return outputs if found is None else found


def _pair(batch: Any) -> tuple[Any, Any]:
    if isinstance(batch, tuple | list) and len(batch) == 2:
        return batch[0], batch[1]
    raise InputError(
        f"a batch is a {type(batch).__name__}, and `loss` one of (outputs, targets): give batches (inputs, "
        "targets), or `loss(model, batch)`"
    )


def seen_inputs(model: Any, loss: Loss, of_outputs: bool, batch: Any) -> Any:
    """What the model is called with when the loss of a batch is computed, for `Recorder`'s probes.

    **Errors:** `InputError` if it is not called, or by something that is no tensor.
    """
    seen: list[Any] = []

    def look(module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        if not keywords:
            seen.append(arguments[0] if len(arguments) == 1 else arguments)
        elif not arguments:
            seen.append(keywords)
        else:
            bound = inspect.signature(module.forward).bind(*arguments, **keywords)
            seen.append(dict(bound.arguments))

    handle = model.register_forward_pre_hook(look, with_kwargs=True)
    try:
        with require_torch().no_grad():
            value(loss, of_outputs, model, batch)
    finally:
        handle.remove()
    if not seen:
        raise InputError("`loss` never calls the model itself, so what to record is unknown: give `probes`")
    return seen[0]
