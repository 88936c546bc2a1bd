"""What optimizers do at a recorded step, seen through hooks that change nothing."""

from collections.abc import Sequence
from typing import Any

from widthwise.adapters.torch_isolation import require_torch
from widthwise.errors import InputError

# Optimizers whose decay multiplies the weights, apart from the gradient; others say so in their groups.
DECOUPLED = {"AdamW", "Adafactor", "Muon", "Lion", "SGDW", "MuAdamW"}


class OptimizerWatch:
    """How much decoupled weight decay left of every tensor: 1 - rate times decay, of the steps watched.

    **Arguments:** `optimizers`, one or a list; they are read only.
    **Errors:** `InputError` for what is no optimizer of PyTorch.
    """

    def __init__(self, optimizers: Any):
        torch = require_torch()
        if optimizers is None:
            optimizers = []
        chosen = list(optimizers) if isinstance(optimizers, Sequence) else [optimizers]
        for each in chosen:
            if not isinstance(each, torch.optim.Optimizer):
                raise InputError(
                    f"`optimizer` has a {type(each).__name__}: give a torch.optim.Optimizer, or a list of them"
                )
        self.optimizers, self.left, self.handles = chosen, {}, []

    def watch(self) -> None:
        """Look at every step from now on, until `stop`."""
        self.left = {}
        self.handles = [each.register_step_pre_hook(self._look) for each in self.optimizers]

    def stop(self) -> dict[int, float]:
        """What decay left, by the id of the tensor."""
        for handle in self.handles:
            handle.remove()
        self.handles = []
        return self.left

    def _look(self, optimizer: Any, arguments: Any, keywords: Any) -> None:
        for group in optimizer.param_groups:
            share = float(group["lr"]) * float(group.get("weight_decay") or 0.0)
            if not share or not is_decoupled(optimizer, group):
                continue
            for tensor in group["params"]:
                if tensor.grad is not None:
                    self.left[id(tensor)] = self.left.get(id(tensor), 1.0) * (1.0 - share)


def is_decoupled(optimizer: Any, group: dict[str, Any]) -> bool:
    """Whether a group's weight decay multiplies the weights instead of going through the gradient."""
    if "decoupled_weight_decay" in group:
        return bool(group["decoupled_weight_decay"])
    return any(kind.__name__ in DECOUPLED for kind in type(optimizer).__mro__)
