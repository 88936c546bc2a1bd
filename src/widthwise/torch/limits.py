"""What initial sizes and rates cannot do for a model: found on the model, with the line to change."""

import math
from typing import Any, NamedTuple

from widthwise.adapters.torch_forward import call_model
from widthwise.adapters.torch_isolation import require_torch, untouched
from widthwise.study.settings import Parametrization

HEADS = ("n_head", "num_heads", "n_heads", "num_attention_heads", "nhead")
SIZES = ("n_embd", "embed_dim", "hidden_size", "d_model", "dim")
HEAD_SIZES = ("head_dim", "attention_head_size")


class Heads(NamedTuple):
    """Attention at one place: the size of a head, and what its logits are multiplied with."""

    size: int
    scale: float


def warnings_of(model: Any, base: Any, parametrization: Parametrization, probes: Any) -> tuple[str, ...]:
    """Messages about a model beside that of the base width; only mean_field asks for more than rates."""
    if parametrization != "mean_field":
        return ()
    return (*_tied(model), *_attention(model, base, probes))


def _tied(model: Any) -> list[str]:
    """A table that is embedding and readout at once needs a factor where it reads out."""
    nn = require_torch().nn
    modules = list(model.named_modules())
    tables = {id(m.weight): name for name, m in modules if isinstance(m, nn.Embedding)}
    found = []
    for name, module in modules:
        if isinstance(module, nn.Linear) and id(module.weight) in tables:
            found.append(
                f"{tables[id(module.weight)]} and {name} share their weight: it is ruled as an embedding, "
                f"and the readout needs a factor: `logits = {name}(h) * base_width / width`; or untie "
                "them (of Hugging Face `tie_word_embeddings=False`)"
            )
    return found


def _attention(model: Any, base: Any, probes: Any) -> list[str]:
    """Heads whose logits grow as the square root of their size, or as their size."""
    watched = probes is not None and not any(p.is_meta for p in model.parameters())
    wide, narrow = (_watch(each, probes) if watched else {} for each in (model, base))
    if not wide:
        wide, narrow = _declared(model), _declared(base)
    found: dict[tuple[int, int], list[str]] = {}
    for name, heads in wide.items():
        if name in narrow and heads.size != (before := narrow[name]).size:
            growth = heads.size * heads.scale / (before.size * before.scale)
            if abs(math.log(growth)) > 0.01:
                found.setdefault((before.size, heads.size), []).append(name)
    return [_of_heads(*sizes, names) for sizes, names in found.items()]


def _of_heads(before: int, now: int, names: list[str]) -> str:
    where = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
    return (
        f"{where}: heads have size {now}, {before} at the base width, and logits q.k / sqrt(size) grow with "
        f"it: let heads grow in number (`num_heads = width // {before}`), or scale by "
        f"`scale={before}**0.5 / head_size`, or, where queries have their own weight and no norm follows, "
        f'fold it: multipliers={{"*q_proj*": {(before / now) ** 0.5:.6g}}}'
    )


def _declared(model: Any) -> dict[str, Heads]:
    """Attention by module, as the usual ones name the size of their heads and their scale."""
    found = {}
    for name, module in model.named_modules():
        heads, width = _first(module, HEADS, int), _first(module, SIZES, int)
        size = _first(module, HEAD_SIZES, int) or (width // heads if heads else 0)
        if size and any(True for _ in module.parameters()):
            found[name] = Heads(size, _first(module, ("scaling", "scale"), float) or size**-0.5)
    return found


def _first(module: Any, keys: tuple[str, ...], kind: type) -> Any:
    """The first of some attributes that is of a kind, or 0."""
    return next((found for key in keys if isinstance(found := getattr(module, key, None), kind)), 0)


def _watch(model: Any, probes: Any) -> dict[str, Heads]:
    """Calls of `scaled_dot_product_attention` in a forward pass, in their order."""
    functional, found = require_torch().nn.functional, {}
    usual = functional.scaled_dot_product_attention

    def watching(query: Any, *args: Any, **settings: Any) -> Any:
        size = query.shape[-1]
        found[f"attention {len(found) + 1}"] = Heads(size, settings.get("scale") or size**-0.5)
        return usual(query, *args, **settings)

    try:
        functional.scaled_dot_product_attention = watching
        with untouched(model, training=False):
            call_model(model, probes)
    finally:
        functional.scaled_dot_product_attention = usual
    return found
