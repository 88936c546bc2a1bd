"""A parametrized PyTorch model, and the parameter groups of its optimizers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from widthwise.adapters.torch_isolation import require_torch
from widthwise.errors import InputError
from widthwise.study.settings import Parametrization
from widthwise.torch.groups import merged, muon_settings, settings_of
from widthwise.torch.rules import TensorRule


@dataclass(frozen=True, kw_only=True)
class Parametrized:
    """A PyTorch model of one width, and how each of its tensors began and learns.

    **Fields:** `model`, the user's own; `rows`, the rule of every trained tensor; `warnings`, what rates and
    initial sizes cannot do for this model, each with the line to change.
    """

    model: Any
    rows: tuple[TensorRule, ...]
    warnings: tuple[str, ...]
    parametrization: Parametrization
    heading: str
    draw: Callable[[Any], None] | None = field(repr=False)

    def param_groups(
        self,
        optimizer: str = "adamw",
        *,
        lr: float,
        weight_decay: float = 0.0,
        eps: Any = None,
        decay: Literal["matrices", "all"] = "matrices",
        model: Any = None,
    ) -> list[dict[str, Any]]:
        r"""Groups for an optimizer of PyTorch: `torch.optim.AdamW(built.param_groups("adamw", lr=1e-3))`.

        `lr` is the rate at the base width; every group has its own. Schedulers multiply all of them alike.

        **Arguments:** `optimizer`, "sgd" (with or without momentum), "adam", "adamw", "lion", "adafactor"
        (`torch.optim`'s) or "transformers_adafactor"; of Muon see `muon_groups`; `weight_decay`, decoupled:
        every step takes the share lr times this of each tensor with two or more axes that is no gain or bias
        (`decay="all"`: of every tensor) at every width; `eps` at the base width, by default the optimizer's;
        `model`, the same model in `torch.compile`, DistributedDataParallel or FSDP, whose parameters are
        then taken by their names.
        **Errors:** `InputError` for an unknown optimizer, for decay that no factor makes the same at every
        width (Adam's), and for a `model` that lacks a tensor.
        """
        weights = self.weights(model)
        found = [
            (
                row.tensor,
                weights[row.tensor],
                settings_of(
                    row._replace(decays=row.decays or decay == "all"),
                    optimizer,
                    lr=lr,
                    weight_decay=weight_decay,
                    eps=eps,
                ),
            )
            for row in self.rows
        ]
        return merged(found)

    def muon_groups(
        self,
        *,
        lr: float,
        weight_decay: float = 0.0,
        scale: str = "original",
        others: str = "adamw",
        others_lr: float,
        others_weight_decay: float = 0.0,
        model: Any = None,
    ) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        r"""Groups for Muon, of the hidden matrices, and for another optimizer, of all other tensors.

        **Arguments:** `scale`, by what this Muon multiplies an orthogonal update of r rows and c columns:
        "original" or "spectral", $\sqrt{\max(1, r/c)}$ (Keller Jordan's, and torch.optim.Muon as it
        comes), "match_rms_adamw", $0.2 \sqrt{\max(r, c)}$ (Moonlight's), "sqrt_ratio", $\sqrt{r/c}$, "none";
        `others`, `others_lr`, `others_weight_decay`, as in `param_groups`.
        """
        weights = self.weights(model)
        hidden = [row for row in self.rows if row.role == "hidden" and len(row.shape) == 2]
        matrices = [
            (
                row.tensor,
                weights[row.tensor],
                muon_settings(row, self.parametrization, scale=scale, lr=lr, weight_decay=weight_decay),
            )
            for row in hidden
        ]
        rest = [
            (
                row.tensor,
                weights[row.tensor],
                settings_of(row, others, lr=others_lr, weight_decay=others_weight_decay, eps=None),
            )
            for row in self.rows
            if row not in hidden
        ]
        return merged(matrices), merged(rest)

    def initialize(self, device: Any, *, model: Any = None) -> None:
        """Draw a model that `make` left on PyTorch's meta device, by `init` of `parametrize`, on a device.

        **Arguments:** `model`, the same model sharded by FSDP in the meantime.
        **Errors:** `InputError` for a model that has its numbers, and naming a tensor that nothing draws.
        """
        wrapped = self.model if model is None else model
        if self.draw is None or not any(p.is_meta for p in wrapped.parameters()):
            raise InputError(
                "the model is not on the meta device: `make` has drawn it, and its rules are applied"
            )
        wrapped.to_empty(device=device)
        with require_torch().no_grad():
            self.draw(wrapped)

    def table(self) -> str:
        """The rules of all tensors as text; "initial rms" is the root mean square of the first entries."""
        titles = (
            "tensor",
            "shape",
            "role",
            "growth",
            "initial rms",
            "SGD rate",
            "Adam rate",
            "decays",
            "why",
        )
        lines: list[tuple[str, ...]] = [titles]
        for row in self.rows:
            numbers = (f"{x:.4g}" for x in (row.growth, row.std, row.sgd_rate, row.adam_rate))
            decays = "yes" if row.decays else "no"
            lines.append((row.tensor, str(row.shape), row.role, *numbers, decays, row.why))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        aligned = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
        return "\n".join([self.heading, *aligned, *self.warnings])

    def weights(self, model: Any) -> dict[str, Any]:
        """Parameters by name, of the model or of what wraps it (`torch.compile`, DDP, FSDP)."""
        found = {}
        for name, p in (self.model if model is None else model).named_parameters():
            parts = [part for part in name.split(".") if part not in ("_orig_mod", "_fsdp_wrapped_module")]
            found[".".join(parts)] = p
            if model is not None and parts[0] == "module":
                found.setdefault(".".join(parts[1:]), p)
        missing = [row.tensor for row in self.rows if row.tensor not in found]
        if missing:
            raise InputError(f"`model` has no tensor {missing[0]!r}: give `built.model`, wrapped")
        return found
