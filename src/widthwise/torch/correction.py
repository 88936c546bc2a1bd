"""A change to how a model is scaled with width, made from outside to copies that are trained."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from widthwise.adapters.torch_isolation import require_torch


@dataclass(frozen=True, kw_only=True)
class Correction:
    """What is changed, with m = width / narrowest width; nothing by default.

    **Fields:** `name`, in words; powers of m by name of tensor: `rates` of its learning rate (rate times
    weight decay stays), `scales` of its initial values, `factors` of its module's output; `output`, the
    power of what the model returns; `attention`, of scores in PyTorch's own function; `dropout`, rates by
    name of module; `epsilon`, a factor of Adam's eps; `same_schedule` and `same_batches`, those of the
    narrowest width for all; `no_clipping`; `full_precision`; `parts`, what it was put together of.
    """

    name: str = ""
    rates: Mapping[str, float] = field(default_factory=dict)
    scales: Mapping[str, float] = field(default_factory=dict)
    factors: Mapping[str, float] = field(default_factory=dict)
    output: float = 0.0
    attention: float = 0.0
    dropout: Mapping[str, float] = field(default_factory=dict)
    epsilon: float = 1.0
    same_schedule: bool = False
    same_batches: bool = False
    no_clipping: bool = False
    full_precision: bool = False
    parts: tuple["Correction", ...] = ()

    def with_(self, other: "Correction") -> "Correction":
        """Both; powers of the same tensor add up."""
        name = " and ".join(filter(None, (self.name, other.name)))
        return Correction(
            name=name,
            rates=_sum(self.rates, other.rates),
            scales=_sum(self.scales, other.scales),
            factors=_sum(self.factors, other.factors),
            output=self.output + other.output,
            attention=self.attention + other.attention,
            dropout={**self.dropout, **other.dropout},
            epsilon=self.epsilon * other.epsilon,
            same_schedule=self.same_schedule or other.same_schedule,
            same_batches=self.same_batches or other.same_batches,
            no_clipping=self.no_clipping or other.no_clipping,
            full_precision=self.full_precision or other.full_precision,
            parts=(*self.parts, other),
        )

    def change_model(self, model: Any, growth: float) -> None:
        """Change a model before its optimizer is made; `growth` is m."""
        torch = require_torch()
        if self.full_precision:
            model.float()
        tensors = dict(model.named_parameters())
        with torch.no_grad():
            for name, power in self.scales.items():
                tensors[name].mul_(growth**power)
        for name, power in self.factors.items():
            _multiply_output(model.get_submodule(name.rpartition(".")[0]), growth**power)
        if self.output:
            _multiply_output(model, growth**self.output)
        for name, rate in self.dropout.items():
            model.get_submodule(name).p = rate

    @contextmanager
    def attending(self, growth: float) -> Iterator[None]:
        """While within, `torch.nn.functional.scaled_dot_product_attention` has another scale."""
        functional = require_torch().nn.functional
        usual, factor = functional.scaled_dot_product_attention, growth**self.attention

        def scaled(query: Any, *arguments: Any, scale: float | None = None, **keywords: Any) -> Any:
            own = query.shape[-1] ** -0.5 if scale is None else scale
            return usual(query, *arguments, scale=own * factor, **keywords)

        if self.attention:
            functional.scaled_dot_product_attention = scaled
        try:
            yield
        finally:
            functional.scaled_dot_product_attention = usual

    def change_optimizers(self, model: Any, optimizers: Sequence[Any], growth: float) -> None:
        """Change learning rates of tensors, in param groups of their own, and eps."""
        tensors = dict(model.named_parameters())
        factors = {id(tensors[name]): growth**power for name, power in self.rates.items()}
        for optimizer in optimizers:
            for group in list(optimizer.param_groups):
                _split(optimizer, group, factors)
            for group in optimizer.param_groups:
                if "eps" in group and self.epsilon != 1.0:
                    group["eps"] *= self.epsilon


NONE = Correction()


def without_one(whole: Correction) -> Iterator[Correction]:
    """Each of what is left if one part but the last is left out."""
    for index in range(len(whole.parts) - 1):
        less = NONE
        for part in (*whole.parts[:index], *whole.parts[index + 1 :]):
            less = less.with_(part)
        yield less


def _sum(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in {**one, **other}}


def _multiply_output(module: Any, factor: float) -> None:
    def multiplied(module: Any, arguments: Any, output: Any) -> Any:
        if isinstance(output, require_torch().Tensor):
            return output * factor
        if isinstance(output, tuple):
            return (output[0] * factor, *output[1:])
        output.logits = output.logits * factor
        return output

    module.register_forward_hook(multiplied)


def _split(optimizer: Any, group: dict[str, Any], factors: Mapping[int, float]) -> None:
    """Give the tensors of a group that are changed groups of their own, one a factor."""
    parts: dict[float, list[Any]] = {}
    for tensor in group["params"]:
        parts.setdefault(factors.get(id(tensor), 1.0), []).append(tensor)
    settings = {key: value for key, value in group.items() if key != "params"}
    for index, (factor, tensors) in enumerate(parts.items()):
        own = {**settings, "params": tensors, "lr": settings["lr"] * factor}
        if settings.get("weight_decay"):
            own["weight_decay"] = settings["weight_decay"] / factor
        if not index:
            group.update(own)
        else:
            optimizer.add_param_group(own)
