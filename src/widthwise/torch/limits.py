"""What initial sizes and rates cannot do for a model: found on the model, with the line to change."""

from typing import Any

from widthwise.adapters.torch_isolation import require_torch
from widthwise.study.settings import Parametrization


def warnings_of(
    model: Any, base: Any, parametrization: Parametrization, widths: tuple[int, int]
) -> tuple[str, ...]:
    """Messages about a model beside that of the base width, at the two `widths`."""
    if parametrization != "mean_field":
        return ()
    return (*_tied(model, widths), *_attention(model, base))


def _tied(model: Any, widths: tuple[int, int]) -> list[str]:
    """A table that is embedding and readout at once needs a factor where it reads out."""
    nn = require_torch().nn
    modules = list(model.named_modules())
    tables = {id(m.weight): name for name, m in modules if isinstance(m, nn.Embedding)}
    found = []
    for name, module in modules:
        if isinstance(module, nn.Linear) and id(module.weight) in tables:
            found.append(
                f"{tables[id(module.weight)]} and {name} share their weight: it is ruled as an embedding, "
                f"and the readout needs a factor: `logits = {name}(h) * ({widths[0]} / width)`; or untie "
                "them (of Hugging Face `tie_word_embeddings=False`)"
            )
    return found


def _attention(model: Any, base: Any) -> list[str]:
    """Heads that grow in size with the usual scale 1/sqrt(d)."""
    found: dict[tuple[int, int], list[str]] = {}
    heads = _head_sizes(base)
    for name, size in _head_sizes(model).items():
        if name in heads and heads[name] != size:
            found.setdefault((heads[name], size), []).append(name)
    return [
        f"{names[0]} and {len(names) - 1} more have heads of size {now}, {before} at the base width, so "
        f"that logits q.k / sqrt(size) grow: let heads grow in number (`num_heads = width // {before}`), "
        f"or scale by `scale={before}**0.5 / head_size` in scaled_dot_product_attention, or fold it into "
        f'separate query weights: multipliers={{"*q_proj*": {(before / now) ** 0.5:.6g}}}'
        for (before, now), names in found.items()
    ]


def _head_sizes(model: Any) -> dict[str, int]:
    """The size of an attention head by module, as usual modules have it."""
    found = {}
    for name, module in model.named_modules():
        size = getattr(module, "head_dim", getattr(module, "attention_head_size", None))
        if isinstance(size, int) and any(True for _ in module.parameters()):
            found[name] = size
    return found
