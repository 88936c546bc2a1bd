"""One forward pass over the probes, seen through hooks that exist only while it lasts."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from widthwise.adapters.torch_attention import products_watched
from widthwise.adapters.torch_isolation import require_torch
from widthwise.adapters.torch_model import clean
from widthwise.errors import InputError

ATTENTION_ARGUMENTS = (
    "query", "key", "value", "key_padding_mask", "need_weights", "attn_mask", "average_attn_weights",
)  # fmt: skip


class Forward(NamedTuple):
    """What a pass showed: what the model returned (`raw`), predictions (point, output), outputs of layers in
    the order in which they were called, and attention (point, head, query, key)."""

    raw: Any
    prediction: Any
    layers: dict[str, Any]
    attention: dict[str, Any]
    loss: dict[str, float] | None = None


def choose_modules(model: Any, layers: Sequence[str | type] | None) -> dict[str, Any]:
    """Modules by name: those named or of the types given; by default Linear, Conv, Embedding, LayerNorm
    and RMSNorm.

    **Errors:** `InputError` for a name that the model does not have, with the nearest one.
    """
    nn = require_torch().nn
    every = {clean(name): module for name, module in model.named_modules() if name}
    every = every or {"model": model}
    if layers is None:
        types = (nn.Linear, nn.modules.conv._ConvNd, nn.LayerNorm, nn.RMSNorm, nn.Embedding)
        return {
            name: module
            for name, module in every.items()
            if isinstance(module, types) or type(module).__name__.endswith(("Conv1D", "RMSNorm"))
        }
    if isinstance(layers, str):
        raise InputError(f"`layers` is {layers!r}: give a list of names or types")
    found = {}
    for each in layers:
        chosen = {
            n: m for n, m in every.items() if (isinstance(m, each) if isinstance(each, type) else n == each)
        }
        if not chosen:
            near = difflib.get_close_matches(str(each), every, 1)
            advice = f"did you mean {near[0]!r}?" if near else "names are those of model.named_modules()"
            raise InputError(f"`layers` has {each!r}, which the model does not have; {advice}")
        found |= chosen
    return found


def without_readout(seen: Forward) -> list[str]:
    """Layers but the last called, if it has as many outputs as the model."""
    names = list(seen.layers)
    logits = tensor_in(seen.raw)
    if names and logits is not None and logits.ndim and seen.layers[names[-1]].ndim:
        last = seen.layers[names[-1]].shape[-1]
        if last == logits.shape[-1] or last == seen.prediction.shape[-1]:
            return names[:-1]
    return names


def observe(
    model: Any,
    probes: Any,
    modules: Mapping[str, Any],
    *,
    outputs: Callable[[Any], Any] | None,
    attention: Callable[[Any], Any] | None,
    watch_attention: bool,
) -> Forward:
    """The pass, in whatever mode the model is.

    **Errors:** `InputError` if predictions or attention have not the dimensions they must have.
    """
    layers: dict[str, Any] = {}
    weights: dict[str, Any] = {}
    products: dict[str, Any] = {}
    with ExitStack() as stack:
        for name, module in modules.items():
            # Before hooks of the user's, as effects of updates are measured: what hooks add is outside.
            handle = module.register_forward_hook(_keeper(layers, name), prepend=True)
            stack.enter_context(_hook(handle))
        if watch_attention and attention is None:
            products = stack.enter_context(products_watched())
            for name, module in model.named_modules():
                if isinstance(module, require_torch().nn.MultiheadAttention):
                    handle = module.register_forward_pre_hook(_ask_for_weights, with_kwargs=True)
                    stack.enter_context(_hook(handle))
                    stack.enter_context(_hook(module.register_forward_hook(_keeper(weights, clean(name), 1))))
        raw = call_model(model, probes)
    if watch_attention and not weights:
        weights = _named_attention(attention(raw) if attention is not None else _part_of(raw, "attentions"))
        weights = weights or products
    weights = {name: _joined(each) for name, each in weights.items()}
    for name, each in weights.items():
        if each.ndim != 4:
            raise InputError(
                f"attention {name!r} has shape {tuple(each.shape)}: it must be (point, head, query, key)"
            )
    return Forward(raw, _prediction(raw, outputs), {n: _joined(v) for n, v in layers.items()}, weights)


def _named_attention(found: Any) -> dict[str, Any]:
    """Weights by block, from a dictionary or a sequence; a block that gave none, as None, is left out."""
    if not isinstance(found, Mapping):
        found = {f"block {i}": weights for i, weights in enumerate(() if found is None else found)}
    return {str(name): weights.detach().float() for name, weights in found.items() if weights is not None}


def _keeper(found: dict[str, Any], name: str, place: int | None = None) -> Callable[..., None]:
    """A hook that keeps copies, since what comes after may change the output in place."""

    def keep(module: Any, arguments: Any, output: Any) -> None:
        tensor = tensor_in(output) if place is None else output[place]
        if tensor is not None and tensor.is_floating_point():
            found.setdefault(name, []).append(tensor.detach().to(require_torch().float32, copy=True))

    return keep


def _joined(values: Any) -> Any:
    """Of a module that was called several times, all its outputs, side by side for each point."""
    if not isinstance(values, list):
        return values
    if len(values) == 1:
        return values[0]
    return require_torch().cat([each.reshape(len(each), -1) for each in values], 1)


def _ask_for_weights(module: Any, arguments: tuple, keywords: dict) -> tuple[tuple, dict]:
    named = dict(zip(ATTENTION_ARGUMENTS, arguments, strict=False)) | keywords
    return (), named | {"need_weights": True, "average_attn_weights": False}


@contextmanager
def _hook(handle: Any):
    try:
        yield
    finally:
        handle.remove()


def call_model(model: Any, probes: Any) -> Any:
    """What the model returns for the probes, on its device and in its precision."""
    parameter = next(model.parameters())

    def ready(value: Any) -> Any:
        torch = require_torch()
        if not isinstance(value, torch.Tensor):
            return value
        kind = parameter.dtype if value.is_floating_point() else value.dtype
        return value.detach().to(device=parameter.device, dtype=kind)

    if isinstance(probes, Mapping):
        return model(**{name: ready(value) for name, value in probes.items()})
    if isinstance(probes, tuple | list):
        return model(*[ready(value) for value in probes])
    if not isinstance(probes, require_torch().Tensor):
        raise InputError(
            f"`probes` is a {type(probes).__name__}: give a tensor, a tuple or a dictionary of them"
        )
    return model(ready(probes))


def tensor_in(output: Any) -> Any:
    """The tensor that a module returned, its `logits`, or the first of several."""
    torch = require_torch()
    if isinstance(output, torch.Tensor):
        return output
    logits = _part_of(output, "logits")
    if logits is not None:
        return tensor_in(logits)
    if isinstance(output, tuple | list) and len(output):
        return tensor_in(output[0])
    return None


def _part_of(output: Any, name: str) -> Any:
    """A named part of what a model returned, None if there is none."""
    return output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)


def _prediction(raw: Any, outputs: Callable[[Any], Any] | None) -> Any:
    """(point, output); of texts (point, position, output) that of the last position."""
    found = tensor_in(raw) if outputs is None else outputs(raw)
    if isinstance(found, require_torch().Tensor):
        if outputs is None and found.ndim == 3:
            found = found[:, -1]
        found = found[:, None] if found.ndim == 1 else found
        if found.ndim == 2:
            return found.detach().float()
    shape = tuple(found.shape) if isinstance(found, require_torch().Tensor) else type(found).__name__
    raise InputError(
        f"predictions are {shape}: give `outputs`, from what the model returns to (point, output)"
    )
