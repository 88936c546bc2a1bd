"""Clipping gradients by a norm that means the same at every width."""

from typing import Any

from widthwise.adapters.torch_isolation import require_torch
from widthwise.errors import InputError
from widthwise.torch.built import Parametrized


def clip_grad_norm(built: Parametrized, max_norm: float, *, model: Any = None) -> Any:
    r"""Scale all gradients in place so that $\sqrt{\sum_W r_W |g_W|^2}$ is at most `max_norm`.

    With r_W, the relative SGD rate of each tensor, the sum is O(1) at every width, where the usual norm
    (r_W = 1; both are the same at the base width) falls with the width and lets the bound act on narrow
    networks alone.

    **Arguments:** `built`, of `ww.torch.parametrize`; `model`, what wraps its model, if something does.
    **Returns:** the norm before, a tensor of one number. Of NaN or infinity nothing is scaled.
    **Errors:** `InputError` for a bound that is not positive.
    """
    if not max_norm > 0:
        raise InputError(f"`max_norm` = {max_norm!r}: give a positive number")
    torch = require_torch()
    weights = built.weights(model)
    pairs = [(row.sgd_rate, weights[row.tensor].grad) for row in built.rows]
    pairs = [(rate, gradient) for rate, gradient in pairs if gradient is not None]
    if not pairs:
        return torch.tensor(0.0)
    norms = [rate**0.5 * torch.linalg.vector_norm(g, dtype=torch.float32) for rate, g in pairs]
    norms = [norm.full_tensor() if hasattr(norm, "full_tensor") else norm for norm in norms]
    total = torch.linalg.vector_norm(torch.stack([norm.to(norms[0].device) for norm in norms]))
    factor = torch.where(torch.isfinite(total), (max_norm / (total + 1e-6)).clamp(max=1.0), 1.0)
    for _, gradient in pairs:
        gradient.mul_(factor.to(gradient.device, gradient.dtype))
    return total
