"""Attention inside PyTorch's `scaled_dot_product_attention`, which returns no weights: seen in its calls."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from widthwise.adapters.torch_isolation import require_torch

NAME = "scaled_dot_product_attention"


@contextmanager
def products_watched() -> Iterator[dict[str, Any]]:
    """Weights (point, head, query, key) of each call that is made within, as "block 0", "block 1", ..."""
    torch = require_torch()
    found: dict[str, Any] = {}

    class Watch(torch.overrides.TorchFunctionMode):
        """Passes every call on, and looks at those of attention."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if getattr(func, "__name__", "") == NAME:  # whoever has put a function around it
                found[f"block {len(found)}"] = _weights(*args, **(kwargs or {}))
            return func(*args, **(kwargs or {}))

    with Watch():
        yield found


def _weights(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    r"""$\mathrm{softmax}(s\, q k^T + \mathrm{mask})$, as PyTorch defines it, without dropout."""
    torch = require_torch()
    query, key = query.detach().float(), key.detach().float()
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    scores = query @ key.transpose(-1, -2) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    weights = scores.softmax(-1)
    return weights if weights.ndim == 4 else weights.reshape(len(weights), -1, *weights.shape[-2:])
