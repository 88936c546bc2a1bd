"""Any PyTorch model at any width, its weights and rates by the rules of a parametrization."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from widthwise.adapters.torch_isolation import all_random_states_kept, require_torch
from widthwise.errors import InputError
from widthwise.study.parametrizations import TABLE
from widthwise.study.settings import Parametrization
from widthwise.torch.factory import Factory, require_same
from widthwise.torch.groups import merged, muon_settings, settings_of
from widthwise.torch.limits import warnings_of
from widthwise.torch.roles import Growth, describe, growth_of, named_by, require_tags
from widthwise.torch.rules import TensorRule, multiplied, rule_of
from widthwise.torch.starts import begin, size, sizes_at


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


def parametrize(
    make: Callable[[int], Any],
    width: int,
    *,
    base_width: int,
    parametrization: Parametrization = "mean_field",
    tags: Mapping[str, str] | None = None,
    multipliers: Mapping[str, float] | None = None,
    seed: int | None = None,
) -> Parametrized:
    r"""A user's PyTorch model at a width, its weights and learning rates by the rules of a parametrization.

    At the base width it is `make(base_width)`, untouched. At others it is `make(width)` with each tensor
    multiplied by one number, so that its entries have their size at the base width times the power of m for
    its role; rates follow in `param_groups`. In "mean_field" (muP) every activation then changes by the same
    amount in a step at every width, and the best learning rate stays where it is. Nothing in the model is
    replaced or marked, and no hook stays: it can be compiled, wrapped and saved as any other.

    **Arguments:** `make(width)` gives a new model, with the same tensors at all widths; `base_width`, where
    learning rates were or will be chosen; `tags`, roles ("input", "hidden", "readout", "scalar") by name or
    pattern, where shapes do not tell, "fixed" for what is to stay as it is at one rate; `multipliers`,
    numbers by name or pattern that the forward pass is to multiply tensors with, which become initial sizes
    and rates; `seed`, for `torch.manual_seed` before `make(width)`: without it, the model is drawn from the
    generators as they stand. Tensors that need no gradient stay as they are.
    **Errors:** `InputError` that names the tensor whose role is not clear, with the line of `tags` to write;
    for a `make` that ignores the width, fails, or gives other tensors at each call; for lazy, quantized and
    re-parametrized modules.
    **Source:** Yang and Hu (2022), arXiv 2203.03466, table 8.
    """
    torch = require_torch()
    if parametrization not in TABLE:
        raise InputError(f"`parametrization` = {parametrization!r}: expected one of {', '.join(TABLE)}")
    factory = Factory(make)
    with all_random_states_kept():
        if seed is not None:
            torch.manual_seed(seed)
        base = factory(base_width)
        bases = describe(base)
        others = describe(factory.shapes_of(2 * base_width)) if width == base_width else {}
        sizes = sizes_at(lambda: factory(base_width), base) if width != base_width else {}
    if seed is None:
        model = factory(width)
    else:
        with all_random_states_kept():
            torch.manual_seed(seed)
            model = factory(width)
    tensors = describe(model)
    other = others or tensors
    require_same(bases, other, (base_width, 2 * base_width if others else width))
    if others and tensors != bases:
        raise InputError(f"`make({width})` gives other shapes at each call")
    tags = require_tags(tags, list(bases))
    asked = named_by("multipliers", multipliers, list(bases))
    rows = []
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        seen = growth_of(name, other[name], bases[name], tags)
        fixed = seen is None
        growth = Growth("scalar", 1.0, 1.0, "left as it is, from `tags`") if seen is None else seen
        if others:
            growth = growth._replace(out=1.0, into=1.0)
        row = rule_of(name, tensors[name], bases[name], growth, parametrization)
        if name in asked:
            row = multiplied(row, asked[name], f"times {asked[name]:.4g}, as asked")
        if not fixed:
            begin(row, p, base.get_parameter(name), sizes.get(name))
        rows.append(row._replace(std=size(p)))
    return Parametrized(
        model=model,
        rows=tuple(rows),
        warnings=warnings_of(model, base, parametrization, (base_width, width)),
        parametrization=parametrization,
        heading=f"{parametrization} at width {width}, the model itself at width {base_width}; rates multiply "
        "the learning rate",
    )
