"""Parameter groups for optimizers of PyTorch, by the rules of a parametrization."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from widthwise.errors import InputError
from widthwise.study.settings import Parametrization
from widthwise.torch.rules import TensorRule

OPTIMIZERS = ("sgd", "adam", "adamw", "lion", "adafactor", "transformers_adafactor")
SCALES = {  # what an implementation of Muon multiplies an orthogonal update (rows, columns) with
    "original": lambda rows, columns: math.sqrt(max(1.0, rows / columns)),
    "match_rms_adamw": lambda rows, columns: 0.2 * math.sqrt(max(rows, columns)),
    "sqrt_ratio": lambda rows, columns: math.sqrt(rows / columns),
    "none": lambda rows, columns: 1.0,
}
SCALES["spectral"] = SCALES["original"]
EPSILON = {"adam": 1e-8, "adamw": 1e-8, "adafactor": (None, 1e-3), "transformers_adafactor": (1e-30, 1e-3)}
FLOAT_EPSILON = 2.0**-23  # what torch.optim.Adafactor takes for None


def require_numbers(**numbers: Any) -> None:
    """**Errors:** `InputError` naming one that is no finite number from 0 on."""
    for name, number in numbers.items():
        if not hasattr(number, "__float__") or not 0 <= float(number) < math.inf:
            raise InputError(f"`{name}` = {number!r}: give a number from 0 on, such as 0.001")


def settings_of(
    rule: TensorRule, optimizer: str, *, lr: float, weight_decay: float, eps: Any
) -> dict[str, Any]:
    r"""What one tensor's group says.

    The decay of a step is the rate times `weight_decay`, here lr times the given one for every tensor that
    decays. Adafactor multiplies each step with the size of the tensor, which is taken out of its rate; of one
    that starts at zero it is that of what it learned.
    """
    if optimizer not in OPTIMIZERS:
        raise InputError(f"`optimizer` = {optimizer!r}: expected one of {', '.join(OPTIMIZERS)}")
    require_numbers(lr=lr, weight_decay=weight_decay)
    decay = weight_decay if rule.decays else 0.0
    eps = EPSILON.get(optimizer) if eps is None else eps
    if optimizer == "sgd":
        return {"lr": lr * rule.sgd_rate, "weight_decay": decay / rule.sgd_rate}
    if optimizer in ("adafactor", "transformers_adafactor"):
        size = rule.start if rule.std else rule.adam_rate
        rate, (first, second) = rule.adam_rate / size, eps
        first = FLOAT_EPSILON if first is None else first
        power = rule.gradient if optimizer == "adafactor" else rule.gradient**2
        share = rate if optimizer == "adafactor" else rule.adam_rate
        found = {"lr": lr * rate, "weight_decay": decay / share, "eps": (first * power, second * size)}
        own = {"scale_parameter": True, "relative_step": False, "warmup_init": False}
        return found if optimizer == "adafactor" else found | own
    if optimizer == "adam" and weight_decay:
        raise InputError(
            "`weight_decay` with Adam goes through its averages, where no factor makes it the same at every "
            'width: use "adamw" and torch.optim.AdamW'
        )
    found = {"lr": lr * rule.adam_rate, "weight_decay": decay / rule.adam_rate}
    return found if optimizer == "lion" else found | {"eps": eps * rule.gradient}


def muon_settings(
    rule: TensorRule, parametrization: Parametrization, *, scale: str, lr: float, weight_decay: float
) -> dict[str, Any]:
    r"""Of a hidden matrix under an optimizer of orthogonal updates.

    An orthogonal update moves the output by $\sqrt{\mathrm{out}/\mathrm{in}}$ (spectral condition) times what
    the implementation multiplies with at this shape over that at the base width; the rate is its inverse.
    **Source:** Yang, Simon and Bernstein (2023), arXiv 2310.17813.
    """
    if scale not in SCALES:
        raise InputError(f"`scale` = {scale!r}: expected one of {', '.join(SCALES)}")
    require_numbers(lr=lr, weight_decay=weight_decay)
    rows, columns = rule.shape
    wide, narrow = (SCALES[scale](*sides) for sides in ((rows, columns), rule.base_shape))
    rate = rule.multiplier
    if parametrization != "standard":  # which trains all at one rate; in ntk features move by m^-1/2
        still = rule.growth**-0.5 if parametrization == "ntk" else 1.0
        rate *= math.sqrt(rule.out / rule.into) * narrow / wide * still
    return {"lr": lr * rate, "weight_decay": weight_decay / rate}


def merged(found: Sequence[tuple[str, Any, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Groups of tensors with the same settings, in their order; names are kept as "param_names"."""
    groups: dict[tuple[Any, ...], dict[str, Any]] = {}
    for name, parameter, settings in found:
        group = groups.setdefault(tuple(settings.items()), {"params": [], "param_names": [], **settings})
        group["params"].append(parameter)
        group["param_names"].append(name)
    return list(groups.values())
