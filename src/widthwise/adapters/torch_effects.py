"""What an update does: the change that it makes at the output of its own tensor."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from widthwise.adapters.torch_forward import tensor_in
from widthwise.adapters.torch_isolation import require_torch
from widthwise.adapters.torch_numbers import rms

SAME_OUTPUT = 1e-3  # relative; further off, a module has factors of its own


class Call(NamedTuple):
    """One call of a module: its arguments and keywords, detached copies."""

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


class UpdateEffects:
    r"""Root mean square of what an update changes at the output of the tensor that it changes.

    $$e(W) = \sqrt{\langle |(W' - W) x|^2 \rangle}$$

    over points, positions and outputs, x the input that the tensor's module had from the probes before the
    update. Of gains and biases it is the change itself, of embeddings that of the rows that are read; of a
    tensor in a module that is none of PyTorch's linear ones, the module's output with the new tensor minus
    that with the old. It does not depend on the width where scaling is right, whatever the optimizer (the
    spectral condition: Yang, Simon and Bernstein, arXiv 2310.17813).

    **Arguments:** `tensors`, by name; `told`, factors outside of the module that multiply a tensor.
    """

    def __init__(self, model: Any, tensors: Mapping[str, Any], told: Mapping[str, float]):
        self.told = told
        self.owners: dict[str, tuple[Any, str]] = {}
        names = {id(tensor): name for name, tensor in tensors.items()}
        for module in model.modules():
            for attribute, tensor in module._parameters.items():
                if id(tensor) in names:
                    self.owners.setdefault(names[id(tensor)], (module, attribute))
        self.calls: dict[int, list[Call]] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Keep what the modules are given while the probes pass through."""
        self.calls = {}
        matrices = [
            module for module, attribute in self.owners.values() if module._parameters[attribute].ndim > 1
        ]
        handles = [
            module.register_forward_pre_hook(self._keep, with_kwargs=True)
            for module in {id(each): each for each in matrices}.values()
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _keep(self, module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        copied = Call(_copied(arguments), _copied(keywords))
        self.calls.setdefault(id(module), []).append(copied)

    def measured(self, before: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, float]:
        """The effect by name of tensor, NaN where its module was not called; `before`, the tensors before
        the update, `changes`, what was added to them. Forgets the inputs."""
        old: dict[int, dict[str, Any]] = {}
        for name, (module, attribute) in self.owners.items():
            old.setdefault(id(module), {})[attribute] = before[name]
        found = {}
        for name, change in changes.items():
            if change.ndim <= 1:
                found[name] = rms(change) * self.told.get(name, 1.0)
                continue
            module = id(self.owners[name][0])
            parts = [self._effect(name, call, old[module], change) for call in self.calls.get(module, ())]
            found[name] = rms(require_torch().cat([p.reshape(-1) for p in parts])) if parts else math.nan
        self.calls = {}
        return found

    def factor_outside(self, module: Any, output: Any) -> float:
        """The told factor of a module's matrix where the module's `output` does not hold it yet, else 1: what
        the next module receives is the output times that factor."""
        for name, (owner, attribute) in self.owners.items():
            if owner is module and attribute == "weight" and name in self.told and self.calls.get(id(module)):
                weight, bias = module.weight.detach(), getattr(module, "bias", None)
                plain = _linear(module, attribute, self.calls[id(module)][0], weight, trust=True)
                if plain is None or plain.shape != output.shape:
                    return 1.0
                if bias is not None:
                    plain = plain + bias.detach().reshape(
                        -1, *(1,) * (plain.ndim - 2 if plain.ndim > 3 else 0)
                    )
                off = rms(plain.float() - output.to(plain.device))
                return self.told[name] if off <= SAME_OUTPUT * rms(output) else 1.0
        return 1.0

    def _effect(self, name: str, call: Call, old: Mapping[str, Any], change: Any) -> Any:
        module, attribute = self.owners[name]
        told = self.told.get(name)
        effect = _linear(module, attribute, call, change, trust=told is not None)
        if effect is None:
            new = {**old, attribute: old[attribute] + change}
            effect = _output(module, new, call) - _output(module, old, call)
        return effect if told is None else effect * told


def _linear(module: Any, attribute: str, call: Call, change: Any, *, trust: bool) -> Any:
    """The change times the input, of PyTorch's linear modules; None of others, and of subclasses whose own
    `forward` may have a factor in it, unless `trust`: then the factor is known."""
    torch = require_torch()
    nn, functional = torch.nn, torch.nn.functional

    def plain(kind: Any) -> bool:
        return isinstance(module, kind) and (trust or type(module).forward is kind.forward)

    given = call.arguments[0] if call.arguments else call.keywords.get("input", call.keywords.get("query"))
    if given is None:
        return None
    if isinstance(module, nn.MultiheadAttention) and attribute == "in_proj_weight":
        return functional.linear(given, change)
    if attribute != "weight":
        return None
    if plain(nn.Linear):
        return functional.linear(given, change)
    if plain(nn.Embedding):
        return functional.embedding(given, change)
    if any(plain(kind) for kind in (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        return module._conv_forward(given, change, None)
    if type(module).__name__ == "Conv1D":  # of the package transformers: x W, not W x
        return given @ change
    return None


def _output(module: Any, tensors: Mapping[str, Any], call: Call) -> Any:
    """The first tensor that the module returns with these weights."""
    torch = require_torch()
    given = {name: tensor.detach().view_as(tensor) for name, tensor in tensors.items()}
    for name, tensor in given.items():  # what packages such as mup keep at a tensor: its growth
        vars(tensor).update(vars(module._parameters[name]))
    found = torch.func.functional_call(module, given, call.arguments, call.keywords)
    return tensor_in(found).float()


def _copied(value: Any) -> Any:
    """Copies, since what comes after may change arguments in place."""
    torch = require_torch()
    if isinstance(value, torch.Tensor):
        return value.detach().clone()
    if isinstance(value, dict):
        return {key: _copied(each) for key, each in value.items()}
    return type(value)(_copied(each) for each in value) if type(value) in (tuple, list) else value
