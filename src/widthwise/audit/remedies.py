"""What to change where a scale of a tensor is wrong, and the cause of a verdict in one sentence."""

from collections.abc import Sequence

from widthwise.analysis.verdict import ClaimRow
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.audit.laws import TensorLaw, tensor_laws
from widthwise.audit.optimizers import optimizers_of

WHAT = {"input": "input weights", "hidden": "hidden weights", "readout": "read-outs", "scalar": "tensors"}
SAME = 0.3  # within which exponents are off alike
MOST_NAMES = 3
UPDATES = ("update_effect_rms", "update_rms")


def change(quantity: str, deviation: float, optimizer: str = "") -> str:
    """What to change of a tensor whose scale goes as N^deviation times what it should.

    >>> change("update_effect_rms", 0.93, "Adam")
    'divide its Adam learning rate by width / base width'
    >>> change("weight_rms", -0.5)
    'multiply its initial scale by the root of width / base width'
    """
    if quantity not in ("weight_rms", *UPDATES):
        return {
            "forward_rms": "look at the initialization of the tensors before this layer",
            "forward_change_rms": "tensors before this layer learn too fast or too slowly as width grows",
        }[quantity]
    what = "initial scale" if quantity == "weight_rms" else f"{optimizer} learning rate".strip()
    verb = "divide" if deviation > 0 else "multiply"
    halves = max(1, round(2 * abs(deviation)))
    factor = {1: "the root of width / base width", 2: "width / base width"}.get(
        halves, f"(width / base width)^{halves / 2:g}"
    )
    return f"{verb} its {what} by {factor}"


def cause(measured: EnsembleView, rows: Sequence[ClaimRow]) -> str:
    """The first failure in one sentence with its remedy: all tensors that are off as the first one is."""
    bad = [row for row in rows if row.verdict == "inconsistent"]
    first = bad[0]
    quantity, name = str(first.where.get("quantity", "")), str(first.where.get("tensor", ""))
    laws = {law.name: law for law in tensor_laws(measured)}
    if quantity not in ("weight_rms", *UPDATES) or name not in laws or "rule" in first.where:
        return first.advice
    off, kind = _deviation(first), _kind(laws[name])
    alike = [
        str(row.where["tensor"])
        for row in bad
        if row.depth == first.depth
        and row.where.get("quantity") == quantity
        and row.where.get("tensor") in laws
        and _kind(laws[str(row.where["tensor"])]) == kind
        and abs(_deviation(row) - off) < SAME
    ]
    alike = list(dict.fromkeys(alike))
    told = ", ".join(f"`{each}`" for each in alike[:MOST_NAMES])
    more = f" and {len(alike) - MOST_NAMES} more" if len(alike) > MOST_NAMES else ""
    size = f"N^{abs(off):.2g} times too"
    if quantity == "weight_rms":
        words = f"start {size} {'large' if off > 0 else 'small'} as the width grows"
    else:
        words = f"learn {size} {'fast' if off > 0 else 'slowly'} as the width grows"
    remedy = change(quantity, off, optimizers_of(measured)[name]).replace(" its ", " their ")
    return f"{kind[:1].upper()}{kind[1:]} ({told}{more}) {words}: {remedy}."


def _kind(law: TensorLaw) -> str:
    if not law.is_matrix:
        return "biases or gains"
    if law.feeds == "attention":
        return "queries and keys"
    if law.feeds == "gate":
        return "routers"
    return WHAT.get(law.role, "tensors")


def _deviation(row: ClaimRow) -> float:
    return (row.estimate or 0.0) - (row.expected or 0.0)
