"""Every tensor's scales have the exponents of its role: the generalized coordinate check, with intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from widthwise.analysis.exponents import Exponent, fit_exponent
from widthwise.analysis.power import SlopePower
from widthwise.analysis.verdict import INHERITED, OWN, SYMPTOM, Test, Untested
from widthwise.audit.claims import shrinking
from widthwise.audit.claims.width_exponent import agreement, power
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.audit.laws import QUANTITIES, TensorLaw, describe, tensor_laws
from widthwise.audit.patterns import whole_parametrization

CLAIM = "scales"
# The loss of all widths must agree this well where an update is compared that follows the loss.
AGREEMENT = 0.1
LEAST_CHANGE = 1e-5  # of preactivations, relative: below it is rounding


@dataclass(frozen=True)
class Scale:
    """One scale of one tensor or layer at one step: its exponent, and the interval it must lie in."""

    kind: str
    quantity: str
    name: str
    step: int
    exponent: Exponent
    low: float
    high: float
    seeds: int
    widths: tuple[int, ...]

    def deviation(self) -> float:
        """How far the exponent lies outside, with its sign."""
        value = self.exponent.overall.value
        return value - self.high if value > self.high else min(0.0, value - self.low)


def tests(measured: EnsembleView) -> list[Test] | Untested:
    """Exponents in N of root mean squares: of each tensor's weights at initialization, of its updates at the
    first step and early on, of each layer's preactivations and their change; and weights' decay.

    Own faults come before what inherits them: a tensor's initial scale; its update, unless initial scales
    that are off explain it; then what passes through layers.
    """
    if not any(name in measured.records for name in ("weight_rms", "update_rms", "forward_rms")):
        return Untested(
            claim=CLAIM, why="the records have no `weight_rms`, `update_rms` or `forward_rms`: record them"
        )
    early = early_step(measured)
    laws = tensor_laws(measured)
    scales = [
        *_tensor_scales(measured, laws, "weight_rms", [0]),
        *_tensor_scales(measured, laws, "update_rms", [0, early]),
        *_layer_scales(measured, "forward_rms", [0, early]),
        *_layer_scales(measured, "forward_change_rms", [0, early]),
    ]
    decay = shrinking.tests(measured, laws)
    if not scales and not decay:
        return Untested(claim=CLAIM, why=_why_nothing(measured))
    return [*decay, *_with_causes(measured, scales, laws, any(_failing(measured, t) for t in decay))]


def early_step(measured: EnsembleView) -> int:
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
        if not np.isfinite(at).all() or at.min() <= 0 or at.max() > (1 + AGREEMENT) * at.min():
            break
        early = position
    return early


def quiet(values: Sequence[Float[np.ndarray, "..."]]) -> list[Float[np.ndarray, "..."]]:
    """The same, a width of which nothing is finite as numbers that no mean warns of."""
    return [np.where(np.isfinite(v).any(axis=0, keepdims=True), v, np.inf) for v in values]


def _tensor_scales(
    measured: EnsembleView, laws: Sequence[TensorLaw], name: str, wanted: list[int]
) -> list[Scale]:
    if not measured.has(name, "tensor", "step"):
        return []
    numbers = measured.numbers(name)
    found = []
    for index, law in enumerate(laws):
        law_of = law.weight if name == "weight_rms" else law.update
        if law_of is None:
            continue
        series = [values.reshape(*values.shape[:2], -1)[..., index] for values in numbers]
        for position in _positions(series, wanted, 0 if name == "weight_rms" else len(measured.steps)):
            fitted = _fit(measured, series, position)
            if fitted:
                exponent, widths, seeds = fitted
                step = int(measured.steps[position])
                low = law_of - law.vanishing if name == "update_rms" else law_of
                found.append(Scale("tensor", name, law.name, step, exponent, low, law_of, seeds, widths))
    return found


def _layer_scales(measured: EnsembleView, name: str, wanted: list[int]) -> list[Scale]:
    if not measured.has(name, "layer", "step"):
        return []
    numbers, labels = measured.numbers(name), measured.names("layer", "layer_name")
    sizes = measured.numbers("forward_rms") if measured.has("forward_rms", "layer", "step") else None
    found = []
    for index, label in enumerate(labels):
        series = [values[..., index] for values in numbers]
        if name == "forward_change_rms" and sizes is not None:
            series = [
                np.where(v > LEAST_CHANGE * whole[..., index], v, np.where(np.isnan(v), v, 0.0))
                for v, whole in zip(series, sizes, strict=True)
            ]
        for position in _positions(series, wanted, len(measured.steps)):
            fitted = _fit(measured, series, position)
            if fitted:
                exponent, widths, seeds = fitted
                step = int(measured.steps[position])
                found.append(Scale("layer", name, label, step, exponent, 0.0, 0.0, seeds, widths))
    return found


def _positions(series: list[Float[np.ndarray, "_ step"]], wanted: list[int], last: int) -> list[int]:
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


def _fit(
    measured: EnsembleView, series: list[Float[np.ndarray, "_ step"]], position: int
) -> tuple[Exponent, tuple[int, ...], int] | None:
    columns = [values[:, position] for values in series]
    logs = [np.log(column[np.isfinite(column) & (column > 0)]) for column in columns]
    widths = [w for w, values in zip(measured.widths, logs, strict=True) if len(values)]
    logs = [values for values in logs if len(values)]
    if len(widths) < 2:
        return None
    return fit_exponent(widths, logs), tuple(widths), min(map(len, logs))


def _with_causes(
    measured: EnsembleView, scales: list[Scale], laws: Sequence[TensorLaw], decays: bool
) -> list[Test]:
    """Tests of all scales, each with whether it is its tensor's own fault."""
    tests = {id(scale): _test(measured, scale) for scale in scales}
    failing = {id(scale) for scale in scales if _failing(measured, tests[id(scale)])}
    weights = {s.name: s.deviation() for s in scales if s.quantity == "weight_rms" and id(s) in failing}
    first: dict[str, Scale] = {}
    for scale in scales:
        if scale.quantity == "update_rms":
            first.setdefault(scale.name, scale)
    own = {law.name for law in laws if _own_update(measured, first, law, weights, failing)}
    whole = whole_parametrization(_by_role(scales, first, laws))
    found = []
    for scale in scales:
        depth = SYMPTOM
        if scale.quantity == "weight_rms":
            depth = OWN
        elif scale.quantity == "update_rms":
            depth = OWN if scale.name in own and not decays else INHERITED
        test = tests[id(scale)]
        if whole and depth == OWN and id(scale) in failing:
            advice = f"{test.advice_bad} All tensors together follow {whole}."
            test = replace(test, where=dict(test.where) | {"rule": whole}, advice_bad=advice)
        found.append(replace(test, depth=depth))
    return found


def _by_role(
    scales: list[Scale], first: dict[str, Scale], laws: Sequence[TensorLaw]
) -> dict[tuple[str, str], float]:
    """Median deviation of initial weights and first updates of each role."""
    roles = {law.name: law.role for law in laws}
    gathered: dict[tuple[str, str], list[float]] = {}
    for scale in [s for s in scales if s.quantity == "weight_rms"] + list(first.values()):
        gathered.setdefault((scale.quantity, roles[scale.name]), []).append(scale.deviation())
    return {key: float(np.median(values)) for key, values in gathered.items()}


def _own_update(
    measured: EnsembleView,
    first: dict[str, Scale],
    law: TensorLaw,
    weights: dict[str, float],
    failing: set[int],
) -> bool:
    """Whether a tensor's first update is off by more than the initial weights that are off explain.

    A readout that is too large by N^d makes every gradient below it too large by as much; under Adam it does
    not, but then the update is not off.
    """
    scale = first.get(law.name)
    if scale is None or id(scale) not in failing:
        return False
    if law.name in weights:
        return False  # named by its initial scale already
    explained = [deviation for name, deviation in weights.items() if name != law.name]
    left = min((abs(scale.deviation() - d) for d in explained), default=math.inf)
    return left > measured.settings.exponent_tolerance


def _test(measured: EnsembleView, scale: Scale) -> Test:
    settings = measured.settings
    exponent, tolerance = scale.exponent, settings.exponent_tolerance
    value = exponent.overall.value
    expected = min(max(value, scale.low), scale.high)
    size = QUANTITIES[scale.quantity]
    what = f"{size[:1].upper()}{size[1:]} of {scale.kind} `{scale.name}` at step {scale.step}"
    weak = ""
    if scale.seeds < 2:
        weak = f"{what}: one network at some width has no scatter to judge by: train at least 2 seeds."
    return Test(
        claim=CLAIM,
        where={scale.kind: scale.name, "quantity": scale.quantity, "step": scale.step},
        estimate=value,
        interval=exponent.overall.interval(measured.alpha),
        expected=expected,
        p_value=exponent.p_value(scale.low, scale.high, tolerance),
        power=SlopePower((exponent.overall, exponent.wide), tolerance, max(scale.seeds, 1)),
        useful=settings.visible_exponent,
        advice_good=f"{what} goes as {power(value)}, {agreement(value, expected, tolerance)}.",
        advice_bad=f"{what} goes as {power(value)} and should as {power(expected)}: "
        f"{describe(scale.quantity)}",
        weak=weak,
    )


def _failing(measured: EnsembleView, test: Test) -> bool:
    """Whether a test will probably fail: at a level that many tests together leave to one."""
    return not test.weak and test.p_value is not None and test.p_value < measured.alpha / 100


def _why_nothing(measured: EnsembleView) -> str:
    if len(measured.widths) < 2:
        return "there is one width: train at least 2, better 4, each twice the one before"
    return (
        "no scale is positive and finite in every network, or no tensor's role is known: record "
        "`tensor_role` or `tensor_fan_in` and `tensor_fan_out`"
    )
