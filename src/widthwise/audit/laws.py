"""What exponents a tensor's scales must have: from its recorded law, or from how its sides grow."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from widthwise.analysis.exponents import fit_exponent
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.audit.optimizers import adaptive
from widthwise.audit.patterns import shifts_of

Range = tuple[float, float]

# Exponents of weights and of updates by role, with every factor taken into the array (muP).
ROLE_LAWS: dict[str, tuple[float, float]] = {
    "input": (0.0, 0.0),
    "hidden": (-0.5, -1.0),
    "readout": (-1.0, -1.0),
    "scalar": (0.0, 0.0),
}
# Parts of the names of tensors that make queries and keys, for records that do not say what a tensor feeds.
ATTENTION = (
    "query",
    "key",
    "q_proj",
    "k_proj",
    "c_attn",
    "in_proj",
    "qkv",
    ".wq",
    ".wk",
    ".q.",
    ".k.",
    "to_q",
)
INSIDE = ("network", "gate")
NEARLY_CONSTANT = -0.25  # an exponent above it is that of an array whose division by N is elsewhere
LEAST = 1e-12
LARGEST_ERROR = 0.2  # of the exponent of predictions from which a factor outside of a read-out is told


@dataclass(frozen=True)
class TensorLaw:
    """One tensor: its role and what it `feeds` ("" if unknown), and the exponents allowed of its initial
    weights, of entries of its updates, and of what an update does at its output; None if unknown.

    Lower ends allow what fades with training, not with the width: sums of random signs that are N^-1/2
    smaller than what learning aligns. The gradients of queries and keys begin so, a read-out's first steps,
    what positions and tokens that are the network's own do to its outputs, under gradient descent those of
    biases and gains, and all that lies behind a layer of fixed size inside of the network.
    """

    name: str
    role: str
    feeds: str
    weight: Range | None
    update: Range | None
    effect: Range
    is_matrix: bool = True


def tensor_laws(measured: EnsembleView) -> list[TensorLaw]:
    """The law of every tensor in the order of records, for the limit that the settings name.

    From `tensor_weight_exponent` and `tensor_update_exponent` where training wrote them; else by the role:
    `tensor_role`, or from `tensor_fan_in` and `tensor_fan_out` (width, tensor), whichever of them grow. A
    read-out may be multiplied by a power of N outside of its array: predictions at initialization tell.
    """
    return measured.once("tensor laws", lambda: _laws(measured))


def _laws(measured: EnsembleView) -> list[TensorLaw]:
    records = measured.records
    if "tensor" not in records.dims:
        return []
    count = records.sizes["tensor"]
    names, roles = measured.names("tensor"), _roles(measured, count)
    feeds = _feeds(measured, names, roles)
    given = [_numbers(measured, f"tensor_{what}_exponent", count) for what in ("weight", "update")]
    inside = any(role == "readout" and fed in INSIDE for role, fed in zip(roles, feeds, strict=True))
    steps_adapt = adaptive(measured)
    shifts = shifts_of(measured.settings.limit, steps_adapt)
    matrices, laws = matrices_of(measured), []
    for index, (name, role, fed) in enumerate(zip(names, roles, feeds, strict=True)):
        weight, update = (None if values is None else _finite(values[index]) for values in given)
        if update is None and role in ROLE_LAWS:
            weight, update = ROLE_LAWS[role]
            if fed in ("output", "tied"):
                factor = _factor_outside(measured, index, tied=fed == "tied")
                weight = None if factor is None else ROLE_LAWS["readout"][0] - factor
                update -= factor or 0.0
        more, faster = shifts.get("readout" if fed == "tied" else role, (0.0, 0.0))
        behind = inside and role == "input" and matrices[index]
        vector = role == "input" and not matrices[index] and not steps_adapt
        of_network = bool(fed) and not role and "." not in name  # its module's output are predictions
        early = fed == "attention" or role == "readout" or of_network
        fades = 0.5 if early or behind or vector else 0.0
        loose = 0.5 if role == "readout" and fed in INSIDE else 0.0  # of a layer of fixed size inside
        laws.append(
            TensorLaw(
                name,
                role,
                fed,
                None if weight is None else (weight + more, weight + more + loose),
                None if update is None else (update + faster - fades, update + faster),
                (faster - fades, faster),
                bool(matrices[index]),
            )
        )
    return laws


def fixed_inside(laws: Sequence[TensorLaw]) -> set[str]:
    """Layers with a side of fixed size inside of the network, as routers and bottlenecks, and what follows
    them, also its first layers, whose side is that of the data; none where no such side is inside."""
    if not any(law.role == "readout" and law.feeds in INSIDE for law in laws):
        return set()
    return {
        law.name.rpartition(".")[0]
        for law in laws
        if law.is_matrix and (law.role == "input" or (law.role == "readout" and law.feeds in INSIDE))
    }


def matrices_of(measured: EnsembleView) -> np.ndarray:
    """Which tensors have two axes or more; all where shapes were not recorded."""
    count = measured.records.sizes["tensor"]
    if "tensor_shape" not in measured.records:
        return np.ones(count, dtype=bool)
    shapes = measured.records["tensor_shape"].transpose("width", "tensor", "axis").to_numpy()
    found = (shapes[0] > 0).sum(axis=1) > 1
    return found if found.any() else np.ones(count, dtype=bool)


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


def _feeds(measured: EnsembleView, names: Sequence[str], roles: Sequence[str]) -> list[str]:
    """As recorded; else by role and name."""
    records = measured.records
    if "tensor_feeds" in records and records["tensor_feeds"].dims == ("tensor",):
        return [str(word) for word in records["tensor_feeds"].to_numpy()]
    return [
        "output"
        if role == "readout"
        else "attention"
        if any(part in name.lower() for part in ATTENTION)
        else ""
        for name, role in zip(names, roles, strict=True)
    ]


def _factor_outside(measured: EnsembleView, index: int, *, tied: bool) -> float | None:
    """The power of N by which a read-out is multiplied outside of its array: 0, -1/2 or -1.

    Predictions at initialization, less their mean over points, go as its weights times N^1/2 times that
    power; of a tied embedding perhaps times N, since a token's own vector lies in what is read out. Without
    predictions, what its initial weights say if one power makes them right; None if nothing tells.
    """
    weights = _exponent(measured, "weight_rms", index)
    outputs = _exponent(measured, "prediction", None)
    if not tied and weights is not None and weights <= NEARLY_CONSTANT:
        return 0.0
    if weights is not None and outputs is not None:
        power = max(0.0, outputs) - weights - 1.0 if tied else outputs - weights - 0.5
        return min(0.0, max(-1.0, round(2 * power) / 2))
    if tied:
        return None
    start = weights if weights is not None else _exponent(measured, "update_rms", index)
    return -1.0 if start is not None and start > NEARLY_CONSTANT else 0.0


def _exponent(measured: EnsembleView, name: str, index: int | None) -> float | None:
    """Of the root mean square of a tensor's numbers, or of predictions, at the first step, if known."""
    if len(measured.widths) < 2 or not measured.has(name, "step"):
        return None
    if index is None:
        first = [measured.read(name, width, [0])[:, 0] for width in range(len(measured.widths))]
        varying = [v.reshape(*v.shape[:2], -1) - v.mean(axis=1).reshape(len(v), 1, -1) for v in first]
        numbers = [
            np.sqrt((v**2).mean(axis=(1, 2)))[measured.usable(0)[width]] for width, v in enumerate(varying)
        ]
    else:
        numbers = [values[:, 0, index] for values in measured.numbers(name)]
    logs = [np.log(v[np.isfinite(v) & (v > LEAST)]) for v in numbers]
    if not all(map(len, logs)):
        return None
    found = fit_exponent(measured.widths, logs).overall
    return found.value if index is not None or found.error < LARGEST_ERROR else None
