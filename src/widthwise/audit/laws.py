"""What exponents a tensor's scales must have: from its recorded law, or from how its sides grow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.analysis.exponents import slope_coefficients
from widthwise.audit.ensemble_view import EnsembleView

# Exponents of weights and of updates by role, with every factor taken into the array (muP).
ROLE_LAWS: dict[str, tuple[float, float]] = {
    "input": (0.0, 0.0),
    "hidden": (-0.5, -1.0),
    "readout": (-1.0, -1.0),
    "scalar": (0.0, 0.0),
}
NEARLY_CONSTANT = -0.25  # an exponent above it is that of an array whose division by N is elsewhere
# Parts of the names of tensors that make queries and keys.
ATTENTION = ("query", "key", "q_proj", "k_proj", "c_attn", "in_proj", "qkv", ".wq", ".wk")


@dataclass(frozen=True)
class TensorLaw:
    """One tensor: its role ("" if unknown), and exponents of its weights and updates, None if unknown.

    `vanishing`, by how much the exponent of its updates may lie lower while attention has not learned: the
    gradients of queries and keys begin as sums of random signs over a head, N^-1/2 smaller than later.
    """

    name: str
    role: str
    weight: float | None
    update: float | None
    vanishing: float = 0.0


def tensor_laws(measured: EnsembleView) -> list[TensorLaw]:
    """The law of every tensor in the order of records.

    From `tensor_weight_exponent` and `tensor_update_exponent` where training wrote them; else by the role:
    `tensor_role`, or from `tensor_fan_in` and `tensor_fan_out` (width, tensor), whichever of them grow. A
    readout without recorded exponents may be divided by N in the forward pass in place of its array: its
    initial weights tell, and its updates must agree with them.
    """
    records = measured.records
    if "tensor" not in records.dims:
        return []
    count = records.sizes["tensor"]
    names, roles = measured.names("tensor"), _roles(measured, count)
    given = [_numbers(measured, f"tensor_{what}_exponent", count) for what in ("weight", "update")]
    laws = []
    for index, (name, role) in enumerate(zip(names, roles, strict=True)):
        weight, update = (None if values is None else _finite(values[index]) for values in given)
        if update is None and role in ROLE_LAWS:
            outside = _outside(measured, index) if role == "readout" else 0.0
            weight, update = (power + outside for power in ROLE_LAWS[role])
        vanishing = 0.5 if role != "input" and any(part in name.lower() for part in ATTENTION) else 0.0
        laws.append(TensorLaw(name, role, weight, update, vanishing))
    return laws


QUANTITIES = {
    "weight_rms": "size of weights (RMS)",
    "update_rms": "size of updates (RMS)",
    "forward_rms": "size of activations (RMS)",
    "forward_change_rms": "change of activations (RMS)",
}


def describe(quantity: str) -> str:
    """What to look at where a scale is wrong."""
    return {
        "weight_rms": "its initialization, or the factor it is multiplied with, scales wrongly with width.",
        "update_rms": "its learning rate scales wrongly with width.",
        "forward_rms": "look at the initialization of the tensors before this layer.",
        "forward_change_rms": "the tensors before this layer learn too fast or too slowly as width grows.",
    }[quantity]


def _roles(measured: EnsembleView, count: int) -> Sequence[str]:
    records = measured.records
    if "tensor_role" in records and records["tensor_role"].dims == ("tensor",):
        return [str(role) for role in records["tensor_role"].to_numpy()]
    sides = [_growth(measured, f"tensor_fan_{side}", count) for side in ("in", "out")]
    if sides[0] is None or sides[1] is None:
        return [""] * count
    names = {
        (False, True): "input",
        (True, True): "hidden",
        (True, False): "readout",
        (False, False): "scalar",
    }
    return [names[bool(into), bool(out)] for into, out in zip(*sides, strict=True)]


def _growth(measured: EnsembleView, name: str, count: int) -> np.ndarray | None:
    """Whether a side grows with width, for each tensor."""
    records = measured.records
    if name not in records or set(map(str, records[name].dims)) != {"width", "tensor"}:
        return None
    values = records[name].transpose("width", "tensor").to_numpy()
    if values.dtype.kind not in "iuf" or values.shape[1] != count or len(values) < 2:
        return None
    return values[-1] > values[0]


def _numbers(measured: EnsembleView, name: str, count: int) -> np.ndarray | None:
    records = measured.records
    if name not in records or records[name].dims != ("tensor",) or records[name].dtype.kind not in "iuf":
        return None
    return records[name].to_numpy().astype(float)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _outside(measured: EnsembleView, index: int) -> float:
    """1 if a readout's array is divided by N in the forward pass, 0 if the division is in it.

    By its initial weights, which go as N^0 then, or by its first updates if it starts at zero.
    """
    for name in ("weight_rms", "update_rms"):
        if not measured.has(name, "tensor", "step") or len(measured.widths) < 2:
            continue
        numbers = [values[:, 0, index] for values in measured.numbers(name)]
        logs = [np.log(v[v > 0]).mean() if (v > 0).any() else np.nan for v in numbers]
        if np.isfinite(logs).all():
            slope = float(slope_coefficients(np.log(np.array(measured.widths, dtype=float))) @ np.array(logs))
            return 1.0 if slope > NEARLY_CONSTANT else 0.0
    return 0.0
