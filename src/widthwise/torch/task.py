"""What a check trains: the user's factory, batches, loss and optimizer, looked at once before anything is."""

import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from widthwise.adapters.torch import DEFAULT, Recorder
from widthwise.adapters.torch_forward import observe, tensor_in
from widthwise.adapters.torch_isolation import require_torch, untouched
from widthwise.adapters.torch_model import tensors_of, unwrap
from widthwise.errors import InputError
from widthwise.torch.batches import Batches, first_points
from widthwise.torch.losses import is_of_outputs, seen_inputs, targets_told, value
from widthwise.torch.user_code import failures_told, with_width

MOST_PROBES, MOST_OUTPUTS = 64, 64
FEWEST_WIDTHS = 3


@dataclass(frozen=True)
class Training:
    """How the user trains, as given to `check`: see there."""

    make: Callable[..., Any]
    loss: Callable[..., Any]
    optimizer: Any
    lr: float
    weight_decay: float
    scheduler: Callable[..., Any] | None
    clip: float | Callable[..., Any] | None


@dataclass(frozen=True)
class Task:
    """A check that can be made.

    **Fields:** `widths`, ascending; `of_outputs`, which kind of loss; `probes`, what the model is called
    with; `recording`, further arguments of `Recorder`.
    """

    training: Training
    batches: Batches
    widths: tuple[int, ...]
    seeds: int
    steps: int
    device: Any
    of_outputs: bool
    probes: Any
    recording: Mapping[str, Any] = field(default_factory=dict)

    def loss(self, model: Any, batch: Any) -> Any:
        """The loss of a batch, a tensor of one number."""
        return value(self.training.loss, self.of_outputs, model, batch)


def prepare(
    training: Training,
    batches: Any,
    *,
    widths: Sequence[int],
    seeds: int,
    steps: int,
    probes: Any,
    device: Any,
    recording: Mapping[str, Any],
) -> Task:
    """Everything that can be refused before a network is trained.

    **Errors:** `InputError`: wrong numbers, a factory that fails or ignores the width, batches that run out,
    a loss that fits no batch.
    """
    widths = _require_widths(widths)
    for name in recording.keys() - inspect.signature(Recorder).parameters.keys():
        raise InputError(f"`{name}` is no argument of a check, nor of `Recorder`")
    for name, number in (("seeds", seeds), ("steps", steps)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 2:
            raise InputError(f"`{name}` = {number!r}: give a whole number from 2 on")
    torch = require_torch()
    with failures_told(f"`device` = {device!r}", 'give a name such as "cpu" or "cuda"'):
        place = torch.empty(0, device=device).device if device is not None else accelerator()
    drawn = Batches(batches, steps, place)
    model = model_of(built(training.make, widths[0], 0), place)
    _, narrow = tensors_of(unwrap(model))
    _, wide = tensors_of(unwrap(model_of(built(training.make, widths[1], 0), place)))
    if narrow == wide:
        raise InputError(
            f"`make({widths[0]})` and `make({widths[1]})` give tensors of the same shapes: build the layers "
            "from the width"
        )
    if narrow.keys() != wide.keys():
        odd = sorted(narrow.keys() ^ wide.keys())[0]
        raise InputError(
            f"`make({widths[0]})` and `make({widths[1]})` give other tensors (`{odd}`): the same layers, of "
            "other sizes, at every width"
        )
    batch, own = drawn.of(widths[0])[-1], {}
    with failures_told("`loss`", "" if device is not None or place.type == "cpu" else 'try device="cpu"'):
        of_outputs = is_of_outputs(training.loss, model, batch)
        if probes is None:
            probes = first_points(seen_inputs(model, training.loss, of_outputs, batch), MOST_PROBES)
            own = targets_told(training.loss, first_points(batch, MOST_PROBES)) if of_outputs else {}
    recording = {
        "outputs": few_outputs,
        "quantities": _quantities(model, probes, recording),
        **own,
        **recording,
    }
    return Task(training, drawn, widths, seeds, steps, place, of_outputs, probes, recording)


def _require_widths(widths: Sequence[int]) -> tuple[int, ...]:
    try:
        found = tuple(sorted(int(width) for width in widths))
        whole = all(int(width) == width for width in widths)
    except (TypeError, ValueError):
        found, whole = (), False
    if not whole or len(set(found)) < max(len(found), FEWEST_WIDTHS) or min(found) < 1:
        raise InputError(
            f"`widths` = {widths!r}: give at least {FEWEST_WIDTHS} different ones, best four, each twice the "
            "one before, such as (64, 128, 256, 512)"
        )
    return found


def accelerator() -> Any:
    """The device that PyTorch finds beside the processor, else that one."""
    torch = require_torch()
    return (
        torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    )


def seed_all(seed: int) -> None:
    """Set the generators of PyTorch, NumPy and Python."""
    require_torch().manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    random.seed(seed)


def built(make: Callable[..., Any], width: int, seed: int) -> Any:
    """What `make` returns: a model, or one that was parametrized."""
    seed_all(seed)
    with failures_told(f"`make({width})`"):
        return make(width)


def model_of(made: Any, device: Any) -> Any:
    """The model in what `make` returned, on the device, in training mode.

    **Errors:** `InputError` if there is none.
    """
    model = getattr(made, "model", made) if hasattr(made, "param_groups") else made
    if not isinstance(model, require_torch().nn.Module):
        raise InputError(
            f"`make` returned a {type(made).__name__}: return the model, or that of `ww.torch.parametrize`"
        )
    return model.to(device).train()


def few_outputs(raw: Any) -> Any:
    """Predictions (point, output) of what a model returns: of texts at the last position, of images and other
    outputs of many axes the first entries."""
    found = tensor_in(raw)
    if found is None or not found.ndim:
        kind = "one number" if found is not None else type(raw).__name__
        raise InputError(
            f"the model returns {kind}: give `outputs`, from what it returns to predictions (point, output)"
        )
    if found.ndim == 3:
        return found[:, -1]
    return found.flatten(1)[:, :MOST_OUTPUTS] if found.ndim > 3 else found


def _quantities(model: Any, probes: Any, recording: Mapping[str, Any]) -> tuple[str, ...]:
    """The recorder's own, and attention where it can be seen."""
    if "attention" not in recording:
        with untouched(model, training=False):
            nothing = {"outputs": lambda raw: require_torch().zeros(1), "attention": None}
            if not observe(model, probes, {}, **nothing, watch_attention=True).attention:
                return DEFAULT
    return (*DEFAULT, "attention")


def optimizers_of(training: Training, made: Any, model: Any, width: int) -> list[Any]:
    """The optimizers of a model.

    **Errors:** `InputError` for a name that PyTorch does not have, or optimizers without the model's tensors.
    """
    torch, given = require_torch(), training.optimizer
    with failures_told(f"`optimizer` at width {width}"):
        if isinstance(given, str):
            found = _named(training, made, model)
        elif callable(given):
            found = with_width(given, made, width)
        else:
            raise InputError(
                f"`optimizer` is a {type(given).__name__}: give a name such as 'adamw', or a function of the "
                "model, as every copy needs one of its own"
            )
    found = list(found) if isinstance(found, tuple | list) else [found]
    for each in found:
        if not isinstance(each, torch.optim.Optimizer):
            raise InputError(f"`optimizer` returned a {type(each).__name__}: return a torch.optim.Optimizer")
    held = {id(p) for each in found for group in each.param_groups for p in group["params"]}
    if not held & {id(p) for p in model.parameters() if p.requires_grad}:
        raise InputError(
            f"`optimizer` holds none of the tensors of `make({width})`: give it those of the model that it "
            "is called with"
        )
    return found


def _named(training: Training, made: Any, model: Any) -> Any:
    """An optimizer of PyTorch by name; of what was parametrized with its groups."""
    optim = require_torch().optim
    kinds = {
        name.lower(): kind
        for name, kind in vars(optim).items()
        if isinstance(kind, type) and issubclass(kind, optim.Optimizer) and kind is not optim.Optimizer
    }
    name = str(training.optimizer).lower()
    if name not in kinds:
        known = ", ".join(sorted(kinds))
        raise InputError(f"`optimizer` = {training.optimizer!r}: choose from {known}, or give a function")
    settings = {"lr": training.lr, "weight_decay": training.weight_decay}
    if made is not model and hasattr(made, "param_groups"):
        return kinds[name](made.param_groups(name, **settings), lr=training.lr)
    return kinds[name]([p for p in model.parameters() if p.requires_grad], **settings)
