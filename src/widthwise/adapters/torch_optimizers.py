"""What optimizers do at a recorded step, seen through hooks that change nothing."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from widthwise.adapters.torch_isolation import require_torch
from widthwise.adapters.torch_numbers import rms, sampled
from widthwise.errors import InputError

# Optimizers whose decay multiplies the weights, apart from the gradient; others say so in their groups.
DECOUPLED = {"AdamW", "Adafactor", "Muon", "Lion", "SGDW", "MuAdamW"}
# Settings of a param group, by what records call them.
SETTINGS = {"learning_rate": "lr", "weight_decay": "weight_decay", "epsilon": "eps", "momentum": "momentum"}


class OptimizerWatch:
    """Settings of every tensor's param group as they are when a recorded step is made, how far gradients
    were clipped before it, and how much decoupled weight decay left of every tensor.

    **Arguments:** `optimizers`, one or a list; they are read only. `tensors`, by name.
    **Errors:** `InputError` for what is no optimizer of PyTorch.
    """

    def __init__(self, optimizers: Any, tensors: Mapping[str, Any]):
        torch = require_torch()
        if optimizers is None:
            optimizers = []
        chosen = list(optimizers) if isinstance(optimizers, Sequence) else [optimizers]
        for each in chosen:
            if not isinstance(each, torch.optim.Optimizer):
                raise InputError(
                    f"`optimizer` has a {type(each).__name__}: give a torch.optim.Optimizer or a list of them"
                )
        self.optimizers, self.handles = chosen, []
        self.names = {id(tensor): name for name, tensor in tensors.items()}
        self.tensors = tensors
        self._forget()

    def _forget(self) -> None:
        self.left: dict[str, float] = {}
        self.settings: dict[str, dict[str, float]] = {}
        self.squares: dict[str, float] = {}
        self.stepped = [0.0, 0.0]

    @property
    def kinds(self) -> dict[str, str]:
        """The class of the optimizer of every tensor, by name."""
        return {
            self.names[id(tensor)]: type(optimizer).__name__
            for optimizer in self.optimizers
            for group in optimizer.param_groups
            for tensor in group["params"]
            if id(tensor) in self.names
        }

    def watch(self) -> None:
        """Look at every step from now on, until `stop`."""
        self.stop()
        self._forget()
        if not self.optimizers:
            return
        self.handles = [each.register_step_pre_hook(self._look) for each in self.optimizers]
        self.handles += [
            tensor.register_post_accumulate_grad_hook(self._note_square)
            for tensor in self.tensors.values()
            if tensor.is_leaf
        ]

    def stop(self) -> None:
        """Look no longer; what was seen stays."""
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def _note_square(self, tensor: Any) -> None:
        if tensor.grad is not None:
            self.squares[self.names[id(tensor)]] = float(tensor.grad.detach().float().square().sum())

    def _look(self, optimizer: Any, arguments: Any, keywords: Any) -> None:
        for group in optimizer.param_groups:
            settings = settings_of(group)
            share = settings["learning_rate"] * settings.get("weight_decay", 0.0)
            for tensor in group["params"]:
                name = self.names.get(id(tensor))
                if name is None or tensor.grad is None:
                    continue
                self.settings[name] = settings
                if share and is_decoupled(optimizer, group):
                    self.left[name] = self.left.get(name, 1.0) * (1.0 - share)
                self.stepped[0] += float(tensor.grad.detach().float().square().sum())
                self.stepped[1] += self.squares.get(name, math.nan)

    def clip_factor(self) -> float:
        """Norm of the gradients that were applied over that of those that were computed; NaN if unknown."""
        applied, computed = self.stepped
        return math.sqrt(applied / computed) if computed > 0 else math.nan

    def epsilon_share(self, name: str) -> float:
        r"""By which share $\epsilon$ makes Adam's last step of a tensor smaller, in root mean squares
        over those of `sampled` entries whose second moment is positive; NaN of other optimizers."""
        tensor = self.tensors[name]
        for optimizer in self.optimizers:
            state = optimizer.state.get(tensor)
            if not state or "exp_avg_sq" not in state or "exp_avg" not in state:
                continue
            group = next(g for g in optimizer.param_groups if any(p is tensor for p in g["params"]))
            beta, count = group.get("betas", (0.0, 0.0))[1], float(state.get("step", 0))
            if not 0 < beta < 1 or not count:
                return math.nan
            root = (sampled(state["exp_avg_sq"]).float() / (1 - beta**count)).sqrt()
            moving = root > 0
            first, root = sampled(state["exp_avg"]).float()[moving], root[moving]
            whole = rms(first / root) if root.numel() else 0.0
            return 1 - rms(first / (root + float(group["eps"]))) / whole if whole else math.nan
        return math.nan


def settings_of(group: Mapping[str, Any]) -> dict[str, float]:
    """The settings that are numbers; of Adam's two averages the first is `momentum`, the second `beta2`."""
    found = {ours: float(group[theirs]) for ours, theirs in SETTINGS.items() if _is_number(group.get(theirs))}
    betas = group.get("betas")
    if isinstance(betas, tuple | list) and len(betas) == 2:
        found |= {"momentum": float(betas[0]), "beta2": float(betas[1])}
    return {"learning_rate": math.nan} | found


def _is_number(value: Any) -> bool:
    torch = require_torch()
    return isinstance(value, int | float) or (isinstance(value, torch.Tensor) and value.numel() == 1)


def is_decoupled(optimizer: Any, group: Mapping[str, Any]) -> bool:
    """Whether a group's weight decay multiplies the weights instead of going through the gradient."""
    if "decoupled_weight_decay" in group:
        return bool(group["decoupled_weight_decay"])
    return any(kind.__name__ in DECOUPLED for kind in type(optimizer).__mro__)
