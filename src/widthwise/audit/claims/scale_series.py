"""Scales of tensors and layers, and the exponents that they must have."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from widthwise.audit.claims.width_exponent import Fitted, fit_positive
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.audit.laws import Range, TensorLaw, fixed_inside

EFFECT = "update_effect_rms"
AGREEMENT = 0.1  # within which the losses of all widths must agree where what follows the loss is compared
LATE_AGREEMENT = 0.3
LEAST_CHANGE = (
    1e-5  # of preactivations, and of effects beside the largest one, relative: below it is rounding
)
EARLY, LATE = 0.75, 2.25  # of the tolerance, of means over the steps of a window; scalars take at least 2
Series = list[Float[np.ndarray, "_ step"]]


@dataclass(frozen=True)
class Scale:
    """One scale of a tensor or layer: its exponent over positions of steps, in the range it must lie in.

    **Fields:** `step`, the label of the only or last of the steps; `several`, whether there are more;
    `share`, by how much of the settings' tolerance it may miss the range.
    """

    kind: str
    quantity: str
    name: str
    step: int
    several: bool
    values: tuple[Float[np.ndarray, " _"], ...]
    fitted: Fitted
    low: float
    high: float
    share: float = 1.0

    def deviation(self) -> float:
        """How far the exponent lies outside, with its sign."""
        value = self.fitted.exponent.overall.value
        return value - self.high if value > self.high else min(0.0, value - self.low)


def tensor_scales(measured: EnsembleView, laws: Sequence[TensorLaw]) -> Iterator[Scale]:
    """Initial weights of every tensor; and updates: what they do where that was recorded, else their
    entries."""
    yield from _of_tensors(measured, laws, "weight_rms", [0])
    if measured.has(EFFECT, "tensor", "step"):
        yield from _effects(measured, laws)
    else:
        yield from _of_tensors(measured, laws, "update_rms", [0, early_step(measured)])


def layer_scales(measured: EnsembleView, laws: Sequence[TensorLaw]) -> Iterator[Scale]:
    """Preactivations of every layer at initialization and early, and their change."""
    limit = measured.settings.limit
    wanted = [0, early_step(measured)]
    yield from _of_layers(measured, laws, "forward_rms", wanted, 0.0)
    if limit != "standard":
        yield from _of_layers(measured, laws, "forward_change_rms", wanted, -0.5 if limit == "ntk" else 0.0)


def early_step(measured: EnsembleView, agreement: float = AGREEMENT) -> int:
    """The last position at which the mean losses of all widths agree within a tenth; 0 without losses.

    Updates follow the gradient and the gradient the loss: later, widths differ for that reason alone.
    """
    name = measured.first_of("loss", "batch_loss")
    if name is None:
        return 0
    early = 0
    curves = [np.nanmean(v.reshape(*v.shape[:2], -1)[..., -1], axis=0) for v in quiet(measured.numbers(name))]
    for position in range(len(measured.steps)):
        at = np.array([curve[position] for curve in curves])
        if not np.isfinite(at).all() or at.min() <= 0 or at.max() > (1 + agreement) * at.min():
            break
        early = position
    return early


def quiet(values: Sequence[Float[np.ndarray, "..."]]) -> list[Float[np.ndarray, "..."]]:
    """The same, a width of which nothing is finite as numbers that no mean warns of."""
    return [np.where(np.isfinite(v).any(axis=0, keepdims=True), v, np.inf) for v in values]


def windows(measured: EnsembleView) -> list[list[int]]:
    """Positions of early steps, up to the root of the last one, together; and of later ones while the losses
    of all widths agree within 30 %, if there are any."""
    root = np.sqrt(float(measured.steps[-1]))
    early = [p for p, step in enumerate(measured.steps) if step <= root] or [0]
    late = list(range(early[-1] + 1, early_step(measured, LATE_AGREEMENT) + 1))
    return [early, late] if late else [early]


def _effects(measured: EnsembleView, laws: Sequence[TensorLaw]) -> Iterator[Scale]:
    numbers = measured.numbers(EFFECT)
    with np.errstate(all="ignore"):
        numbers = [
            np.where(v > LEAST_CHANGE * np.nanmax(v, axis=2, keepdims=True), v, np.nan) for v in numbers
        ]
    for tolerance, window in zip((EARLY, LATE), windows(measured), strict=False):
        for index, law in enumerate(laws):
            series = [values[:, window, index] for values in numbers]
            able = [p for p in range(len(window)) if all(np.isfinite(v[:, p]).any() for v in series)]
            if not able:
                continue
            with np.errstate(all="ignore"):
                means = [np.exp(np.log(values[:, able]).mean(axis=1)) for values in series]
            share = max(tolerance, 2.0) if law.role == "scalar" else tolerance
            named, positions = ("tensor", EFFECT, law.name), [window[p] for p in able]
            yield from _scale(measured, named, means, positions, law.effect, share)


def _scale(
    measured: EnsembleView,
    named: tuple[str, str, str],
    values: Sequence[Float[np.ndarray, " _"]],
    positions: Sequence[int],
    allowed: Range,
    share: float = 1.0,
) -> Iterator[Scale]:
    fitted = fit_positive(measured, values)
    if fitted is not None:
        step = int(measured.steps[positions[-1]])
        yield Scale(*named, step, len(positions) > 1, tuple(values), fitted, *allowed, share)


def _of_tensors(
    measured: EnsembleView, laws: Sequence[TensorLaw], name: str, wanted: list[int]
) -> Iterator[Scale]:
    if not measured.has(name, "tensor", "step"):
        return
    numbers = measured.numbers(name)
    for index, law in enumerate(laws):
        allowed = law.weight if name == "weight_rms" else law.update
        if allowed is None:
            continue
        series = [values.reshape(*values.shape[:2], -1)[..., index] for values in numbers]
        for position in _positions(series, wanted, 0 if name == "weight_rms" else len(measured.steps)):
            at = [values[:, position] for values in series]
            yield from _scale(measured, ("tensor", name, law.name), at, [position], allowed)


def _of_layers(
    measured: EnsembleView, laws: Sequence[TensorLaw], name: str, wanted: list[int], high: float
) -> Iterator[Scale]:
    if not measured.has(name, "layer", "step"):
        return
    numbers, labels = measured.numbers(name), measured.names("layer", "layer_name")
    sizes = measured.numbers("forward_rms") if measured.has("forward_rms", "layer", "step") else None
    outputs = {law.name.rpartition(".")[0] for law in laws if law.role == "readout" and law.feeds == "output"}
    for index, label in enumerate(labels):
        if label in outputs:
            continue
        series = [values[..., index] for values in numbers]
        if name == "forward_change_rms" and sizes is not None:
            series = [
                np.where(v > LEAST_CHANGE * whole[..., index], v, np.where(np.isnan(v), v, 0.0))
                for v, whole in zip(series, sizes, strict=True)
            ]
        low = high - _fades(laws, label, change=name == "forward_change_rms")
        for position in _positions(series, wanted, len(measured.steps)):
            at = [values[:, position] for values in series]
            yield from _scale(measured, ("layer", name, label), at, [position], (low, high))


def _fades(laws: Sequence[TensorLaw], layer: str, *, change: bool) -> float:
    """By how much a layer's exponent may lie lower: where layers of fixed size lie inside of the network, and
    of the change of queries and keys."""
    attends = any(law.feeds == "attention" and law.name.rpartition(".")[0] == layer for law in laws)
    return 0.5 if fixed_inside(laws) or (change and attends) else 0.0


def _positions(series: Series, wanted: list[int], last: int) -> list[int]:
    """For each wanted position, the first from there up to `last` at which every network that is finite is
    positive; each once."""
    ready = np.ones(series[0].shape[1], dtype=bool)
    for values in series:
        ready &= (np.isnan(values) | (values > 0)).all(axis=0) & np.isfinite(values).any(axis=0)
    found = []
    for position in wanted:
        able = [p for p in np.flatnonzero(ready) if position <= p <= max(last, position)]
        found += able[:1]
    return sorted(set(int(p) for p in found))
