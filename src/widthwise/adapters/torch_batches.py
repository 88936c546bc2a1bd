"""What a model is trained on: size and hash of the batch of a step, and how much of it is dropped."""

import hashlib
import math
from typing import Any

from widthwise.adapters.torch_isolation import require_torch

HASH_BITS = 48  # a float holds them exactly
MOST_BYTES = 1 << 22  # of each tensor that are hashed: the beginning and the end


class BatchWatch:
    """Looks at the passes that training makes until it is told to stop: those with gradients."""

    def __init__(self, model: Any):
        self.model = model
        self.handles: list[Any] = []
        self._forget()

    def _forget(self) -> None:
        self.size, self.digest, self.seen, self.dropout = 0, hashlib.sha256(), False, math.nan

    def watch(self) -> None:
        """Look from now on."""
        self.stop()
        self._forget()
        self.handles = [self.model.register_forward_pre_hook(self._look, with_kwargs=True)]

    def stop(self) -> None:
        """Look no longer; what was seen stays."""
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def _look(self, module: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        torch = require_torch()
        if torch.compiler.is_compiling() or not torch.is_grad_enabled():
            return  # hashing is nothing that could be compiled
        tensors = [each for each in (*arguments, *keywords.values()) if isinstance(each, torch.Tensor)]
        if not tensors:
            return
        self.seen = True
        self.size += len(tensors[0]) if tensors[0].ndim else 1
        for tensor in tensors:
            self.digest.update(_content(tensor))
        self.dropout = dropout_rate(self.model)

    def found(self) -> dict[str, float]:
        """`batch_size`, `batch_hash` and `dropout_rate`; empty if no pass was seen."""
        if not self.seen:
            return {}
        number = int.from_bytes(self.digest.digest()[: HASH_BITS // 8], "big")
        return {"batch_size": float(self.size), "batch_hash": float(number), "dropout_rate": self.dropout}


def dropout_rate(model: Any) -> float:
    """Mean rate of the model's dropout layers that are in training mode; 0 without any."""
    kinds = (require_torch().nn.modules.dropout._DropoutNd,)
    rates = [module.p for module in model.modules() if isinstance(module, kinds) and module.training]
    return sum(rates) / len(rates) if rates else 0.0


def _content(tensor: Any) -> bytes:
    """Shape and numbers; of large tensors of their ends. In single precision, so that the precision in which
    a width is trained makes no other batch."""
    flat = tensor.detach().reshape(-1)
    half = MOST_BYTES // 8
    if flat.numel() > 2 * half:
        flat = require_torch().cat([flat[:half], flat[-half:]])
    flat = flat.float() if flat.is_floating_point() else flat.long()
    return str(tuple(tensor.shape)).encode() + flat.cpu().contiguous().numpy().tobytes()
