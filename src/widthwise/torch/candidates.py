"""Which corrections to try for what an audit named, the most plausible first."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from widthwise.adapters.torch_isolation import require_torch
from widthwise.analysis.verdict import OWN, ClaimRow
from widthwise.audit import Audit
from widthwise.torch.correction import Correction
from widthwise.torch.task import Task, built, model_of, optimizers_of

SETTINGS, ATTENTION = "training_setup", "attention_scale"  # a claim, and a rule of one
EPSILON = 1e-3
SAME = 0.3  # within which exponents of tensors are off alike, and rates go as a table says
ADAPTIVE = ("Adam", "Lion", "Adagrad", "RMSprop", "Adafactor")
SCALES = ("weight_rms", "update_effect_rms", "update_rms")
MOST_NAMES = 3


def settings_alike(task: Task, found: Audit) -> list[Correction]:
    """One correction that makes all settings alike that an audit says depend on the width, or none."""
    bad = [row for row in found.rows if row.verdict == "inconsistent" and row.claim == SETTINGS]
    known = {option.name: option for row in bad for option in _of_settings(task, row)}
    whole = Correction()
    for option in known.values():
        whole = whole.with_(option)
    return [whole] if known else []


def of_tensors(task: Task, found: Audit) -> Iterator[Correction]:
    """Corrections of what an audit names first: what all tensors share, then rates, initial scales and
    factors of those that are off as the first one is."""
    bad = [row for row in found.rows if row.verdict == "inconsistent"]
    if task.training.clip is not None and any(row.claim in ("scales", "richness") for row in bad):
        yield Correction(name="no clipping by the global norm", no_clipping=True)
    named = [row for row in bad if row.where.get("quantity") in SCALES and "tensor" in row.where]
    if any(row.where["tensor"] == "all" for row in named):
        yield Correction(name=f"eps times {EPSILON:g}", epsilon=EPSILON)
    own = [row for row in named if row.where["tensor"] != "all"]
    if bad[0].where.get("rule") == ATTENTION:
        yield Correction(name=f"scores of attention times {_power(-0.5)}", attention=-0.5)
    elif own and "rule" in own[0].where:
        yield _whole(task, [row for row in own if row.depth == OWN])
    if own:
        yield from _of_tensors(task, own)


def _whole(task: Task, rows: Sequence[ClaimRow]) -> Correction:
    """All of a parametrization at once: the most plausible correction of every tensor that is named."""
    whole = Correction()
    while rows:
        whole = whole.with_(next(_of_tensors(task, rows)))
        done = {(row.where["quantity"], row.where["tensor"]) for row in _alike(rows)}
        rows = [row for row in rows if (row.where["quantity"], row.where["tensor"]) not in done]
    return whole


def _of_settings(task: Task, row: ClaimRow) -> list[Correction]:
    narrow = task.widths[0]
    check = row.where.get("check")
    if check in ("batch size", "batches"):
        return [Correction(name=f"the batches of width {narrow} at every width", same_batches=True)]
    if check == "schedule":
        return [Correction(name=f"the schedule of width {narrow} at every width", same_schedule=True)]
    if check == "epsilon":
        return [Correction(name=f"eps times {EPSILON:g}", epsilon=EPSILON)]
    if check == "precision":
        return [Correction(name="weights in float32", full_precision=True)]
    if check == "dropout":
        kinds = require_torch().nn.modules.dropout._DropoutNd
        model = model_of(built(task.training.make, narrow, 0), task.device)
        rates = {name: module.p for name, module in model.named_modules() if isinstance(module, kinds)}
        return [Correction(name=f"the dropout of width {narrow} at every width", dropout=rates)]
    return []


def _of_tensors(task: Task, rows: Sequence[ClaimRow]) -> Iterator[Correction]:
    first = rows[0]
    quantity, off = first.where["quantity"], _deviation(first)
    alike = [
        row
        for row in rows
        if row.where["quantity"] == quantity
        and row.depth == first.depth
        and abs(_deviation(row) - off) < SAME
    ]
    names = list(dict.fromkeys(str(row.where["tensor"]) for row in alike))
    power = -math.copysign(max(1, round(2 * abs(off))) / 2, off)
    powers = [power, *(math.copysign(p, power) for p in (0.5, 1.0) if p != abs(power))]
    narrow = model_of(built(task.training.make, task.widths[0], 0), task.device)
    if quantity == "weight_rms":
        embedding = isinstance(_owner(narrow, names[0]), require_torch().nn.Embedding)
        if embedding:  # of a table that is tied to the read-out, whose other use must not shrink
            yield Correction(name=f"outputs times {_power(power)}", output=power)
        yield from (_correction("scales", names, each) for each in powers)
        return
    adaptive, own = _rate_of(task, names[0])
    ruled = _table(narrow, task, names[0], adaptive) - own  # what the rules of width would change
    if ruled * power > 0 and abs(ruled + off) < 2 * SAME:
        powers = [ruled, *(each for each in powers if each != ruled)]
    rates = [_correction("rates", names, each) for each in powers]
    inside = [name for name in names if name.endswith("weight") and _is_matrix(narrow, name)]
    factor = power if adaptive else power / 2
    factors = [_correction("factors", inside, factor)] if inside and len(inside) == len(names) else []
    # A rate that goes with the width as the table has it is not what is wrong.
    if factors and abs(ruled) < SAME:
        yield from factors
        yield from rates
    else:
        yield from rates
        yield from factors


def _alike(rows: Sequence[ClaimRow]) -> list[ClaimRow]:
    """Those that are off as the first one is."""
    first = rows[0]
    kin = [r for r in rows if r.where["quantity"] == first.where["quantity"] and r.depth == first.depth]
    return [row for row in kin if abs(_deviation(row) - _deviation(first)) < SAME]


def _correction(what: str, names: Sequence[str], power: float) -> Correction:
    words = {"rates": "learning rate", "scales": "initial scale", "factors": "output"}[what]
    told = ", ".join(f"`{name}`" for name in names[:MOST_NAMES])
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    name, powers = f"{words} of {told}{more} times {_power(power)}", dict.fromkeys(names, power)
    if what == "rates":
        return Correction(name=name, rates=powers)
    return Correction(name=name, scales=powers) if what == "scales" else Correction(name=name, factors=powers)


def _power(power: float) -> str:
    """A power of m = width / base width in words.

    >>> _power(-0.5), _power(1.0)
    ('(width / base width)^-0.5', '(width / base width)^1')
    """
    return f"(width / base width)^{power:g}"


def _deviation(row: ClaimRow) -> float:
    return (row.estimate or 0.0) - (row.expected or 0.0)


def _owner(model: Any, name: str) -> Any:
    return model.get_submodule(name.rpartition(".")[0])


def _is_matrix(model: Any, name: str) -> bool:
    nn = require_torch().nn
    return isinstance(_owner(model, name), nn.Linear | nn.modules.conv._ConvNd)


def _rate_of(task: Task, name: str) -> tuple[bool, float]:
    """Whether a tensor's optimizer is one as Adam, and the exponent of its learning rate in the width."""
    rates, adaptive = [], False
    for width in (task.widths[0], task.widths[-1]):
        made = built(task.training.make, width, 0)
        model = model_of(made, task.device)
        tensor = dict(model.named_parameters())[name]
        for optimizer in optimizers_of(task.training, made, model, width):
            for group in optimizer.param_groups:
                if any(p is tensor for p in group["params"]):
                    rates.append(float(group["lr"]))
                    adaptive = any(kind in type(optimizer).__name__ for kind in ADAPTIVE)
    if len(rates) < 2 or min(rates) <= 0:
        return adaptive, math.nan
    return adaptive, math.log(rates[-1] / rates[0]) / math.log(task.widths[-1] / task.widths[0])


def _table(narrow: Any, task: Task, name: str, adaptive: bool) -> float:
    """The exponent of a tensor's learning rate in the width, by which of its sides grow."""
    wide = model_of(built(task.training.make, task.widths[1], 0), task.device)
    small, large = (dict(model.named_parameters())[name].shape for model in (narrow, wide))
    grows = [b > a for a, b in zip(small, large, strict=True)]
    if isinstance(_owner(narrow, name), require_torch().nn.Embedding):
        grows.reverse()
    out, into = any(grows[:1]), any(grows[1:2])
    return -float(into) if adaptive else float(out) - float(into)
