"""A user's `make`, called with care: what it returns is a model whose tensors can be ruled."""

from collections.abc import Callable, Mapping
from typing import Any
from weakref import ReferenceType, ref

from widthwise.adapters.torch_isolation import require_torch
from widthwise.errors import InputError
from widthwise.torch.roles import Tensor


class Factory:
    """`make(width)` with its errors told; each call is to give a new model."""

    def __init__(self, make: Callable[[int], Any]):
        if not callable(make) or isinstance(make, require_torch().nn.Module):
            raise InputError(f"`make` is a {type(make).__name__}: give a function of the width, make(width)")
        self.make = make
        self.models: list[ReferenceType[Any]] = []

    def __call__(self, *sizes: int) -> Any:
        """The model at a width, or a width and a depth."""
        call = f"`make({', '.join(map(str, sizes))})`"
        try:
            model = self.make(*sizes)
        except Exception as error:
            raise InputError(f"{call} fails: {type(error).__name__}: {error}") from error
        _require_model(model, call)
        if any(model is each() for each in self.models):
            raise InputError(f"{call} returned a model that it had returned before: make a new one")
        self.models.append(ref(model))
        return model

    def shapes_of(self, *sizes: int) -> Any:
        """The model without its numbers where `make` can do without, on PyTorch's meta device."""
        try:
            with require_torch().device("meta"):
                return self.make(*sizes)
        except Exception:
            return self(*sizes)


def require_same(base: Mapping[str, Tensor], wider: Mapping[str, Tensor], base_width: int) -> None:
    """Two widths have the same tensors, and some of them grow. **Arguments:** `wider`, empty if not known."""
    differing = sorted(base.keys() ^ wider.keys())
    if wider and differing:
        raise InputError(f"`make` gives other tensors at other widths: {', '.join(differing[:5])}")
    if base == dict(wider):
        raise InputError(f"`make` ignores the width: its shapes are those at width {base_width}")


def _require_model(model: Any, call: str) -> None:
    torch = require_torch()
    if not isinstance(model, torch.nn.Module):
        raise InputError(f"{call} returned a {type(model).__name__}: return a torch.nn.Module")
    for name, module in model.named_modules():
        at = f"{name or 'the model'} ({type(module).__name__})"
        origin = type(module).__module__
        if origin.startswith(("torch.ao.nn.quantized", "bitsandbytes")):
            raise InputError(f"{at} is quantized: parametrize the model before quantizing it")
        if "parametrizations" in module._modules or hasattr(module, "weight_v"):
            raise InputError(
                f"{at} computes its weight from others (torch.nn.utils): `make` it without, and register "
                "weight_norm, spectral_norm or the like on `built.model`"
            )
    if not any(True for _ in model.parameters()):
        raise InputError(f"{call} returned a model without weights")
    for name, p in model.named_parameters():
        if isinstance(p, torch.nn.UninitializedParameter):
            raise InputError(f"{name} has no shape yet (a lazy module): `make` it with its sizes written out")
        if not p.is_floating_point():
            raise InputError(f"{name} is of {p.dtype}: quantized weights have no rule; leave them out")
