"""A correction as lines to paste."""

from collections.abc import Mapping

from widthwise.torch.correction import Correction

HEAD = "# behind the lines that make `model` and `optimizer`, with `width` at hand:"
RATES = """chosen = {id(model.get_parameter(name)): factor for name, factor in %s.items()}
for group in list(optimizer.param_groups):
    for p in [p for p in group["params"] if id(p) in chosen]:
        group["params"] = [q for q in group["params"] if q is not p]
        optimizer.add_param_group({**group, "params": [p], "lr": group["lr"] * chosen[id(p)],
            "weight_decay": group.get("weight_decay", 0) / chosen[id(p)]})"""
SCALES = """with torch.no_grad():
    for name, factor in %s.items():
        model.get_parameter(name).mul_(factor)"""
FACTORS = """for name in %r:
    model.get_submodule(name).register_forward_hook(lambda module, inputs, output: output * m**%g)"""
OUTPUT = "model.register_forward_hook(lambda module, inputs, output: output * m**%g)"
DROPOUT = """for name, rate in %r.items():
    model.get_submodule(name).p = rate"""
EPSILON = """for group in optimizer.param_groups:
    group["eps"] *= %g"""


def code_of(correction: Correction, base: int) -> str:
    """Lines of Python, runnable where `model`, `optimizer` and `width` are known; what cannot be changed
    there is said in a comment."""
    parts = []
    if correction.full_precision:
        parts.append("model.float()  # before the optimizer is made; compute in bfloat16 by torch.autocast")
    if correction.scales:
        parts.append(SCALES % _factors(correction.scales))
    for power, names in _by_power(correction.factors).items():
        parts.append(FACTORS % ([name.rpartition(".")[0] for name in names], power))
    if correction.output:
        parts.append(OUTPUT % correction.output)
    if correction.attention:
        scale = f"m**{correction.attention:g} * head_size**-0.5"
        parts.append(f"# in the forward pass: scaled_dot_product_attention(..., scale={scale})")
    if correction.rates:
        parts.append(RATES % _factors(correction.rates))
    if correction.dropout:
        parts.append(DROPOUT % dict(correction.dropout))
    if correction.epsilon != 1.0:
        parts.append(EPSILON % correction.epsilon)
    if correction.no_clipping:
        parts.append("# clip by no global norm, which grows with the width: leave `clip` out")
    if correction.same_schedule:
        parts.append(f"# give every width the schedule of width {base}: the same warm-up, length and decay")
    if correction.same_batches:
        parts.append(f"# train every width on the batches of width {base}: the same size, the same order")
    used = correction.scales or correction.factors or correction.output or correction.rates
    used = used or correction.attention
    return "\n".join([HEAD, *([f"m = width / {base}"] if used else []), *parts])


def _factors(powers: Mapping[str, float]) -> str:
    """A dictionary in the source.

    >>> _factors({"a.weight": -1.0, "b.weight": 0.5})
    '{"a.weight": m**-1, "b.weight": m**0.5}'
    """
    return "{" + ", ".join(f'"{name}": m**{power:g}' for name, power in powers.items()) + "}"


def _by_power(powers: Mapping[str, float]) -> dict[float, list[str]]:
    found: dict[float, list[str]] = {}
    for name, power in powers.items():
        found.setdefault(power, []).append(name)
    return found
