"""Every tensor's scales have the exponents of its role: the generalized coordinate check, with intervals."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from widthwise.analysis.verdict import INHERITED, OWN, SYMPTOM, Test, Untested
from widthwise.audit.claims import shrinking
from widthwise.audit.claims.common_factor import common_factor
from widthwise.audit.claims.scale_series import EFFECT, Scale, layer_scales, tensor_scales
from widthwise.audit.claims.width_exponent import exponent_test
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.audit.laws import TensorLaw, fixed_inside, tensor_laws
from widthwise.audit.optimizers import optimizers_of
from widthwise.audit.patterns import whole_parametrization
from widthwise.audit.remedies import change

CLAIM = "scales"
UPDATES = ("update_rms", EFFECT)
QUANTITIES = {
    "weight_rms": "size of weights (RMS)",
    "update_rms": "size of updates (RMS)",
    EFFECT: "effect of updates (RMS)",
    "forward_rms": "size of activations (RMS)",
    "forward_change_rms": "change of activations (RMS)",
}


def tests(measured: EnsembleView) -> list[Test] | Untested:
    """Exponents in N of root mean squares: of each tensor's weights at initialization; of what its updates do
    at its output, early and later, or else of their entries; of each layer's preactivations and their
    change; and weights' decay.

    Own faults come before what inherits them: a tensor's initial scale; its update, unless initial scales
    that are off explain it; then what passes through layers. What all updates have in common is one row.
    """
    if not any(name in measured.records for name in ("weight_rms", *UPDATES, "forward_rms")):
        return Untested(
            claim=CLAIM, why="the records have no `weight_rms`, `update_rms` or `forward_rms`: record them"
        )
    laws = tensor_laws(measured)
    scales = [*tensor_scales(measured, laws), *layer_scales(measured, laws)]
    decay = shrinking.tests(measured, laws)
    if not scales and not decay:
        return Untested(claim=CLAIM, why=_why_nothing(measured))
    decays = any(_failing(measured, test) for test in decay)
    return [*decay, *_with_causes(measured, scales, laws, decays)]


def _with_causes(
    measured: EnsembleView, scales: list[Scale], laws: Sequence[TensorLaw], decays: bool
) -> list[Test]:
    """Tests of all scales, each with whether it is its tensor's own fault."""
    tests = {id(scale): _test(measured, scale) for scale in scales}
    failing = {id(scale) for scale in scales if _failing(measured, tests[id(scale)])}
    weights = {s.name: s.deviation() for s in scales if s.quantity == "weight_rms" and id(s) in failing}
    first: dict[str, Scale] = {}
    for scale in scales:
        if scale.quantity in UPDATES:
            first.setdefault(scale.name, scale)
    behind = fixed_inside(laws)
    apart = {law.name for law in laws if law.feeds == "attention" or law.name.rpartition(".")[0] in behind}
    common = None if weights else common_factor(measured, list(first.values()), apart)
    own = {law.name for law in laws if _own_update(measured, first, law, weights, failing)}
    whole = "" if measured.settings.limit != "mup" else whole_parametrization(_by_role(scales, first, laws))
    found = [] if common is None else [common]
    fixed = {law.name for law in laws if law.role == "scalar"}
    for scale in scales:
        depth = SYMPTOM
        if scale.quantity == "weight_rms":
            depth = OWN
        elif scale.quantity in UPDATES:
            depth = OWN if scale.name in own and not decays and common is None else INHERITED
        test = tests[id(scale)]
        if whole and depth == OWN and id(scale) in failing:
            advice = f"{test.advice_bad} All tensors together follow {whole}."
            test = replace(test, where=dict(test.where) | {"rule": whole}, advice_bad=advice)
        # How the few entries of what does not grow begin scatters much, and has nothing to do with the width.
        core = scale.quantity != "weight_rms" or scale.name not in fixed
        found.append(replace(test, depth=depth, core=core))
    return found


def _by_role(
    scales: list[Scale], first: dict[str, Scale], laws: Sequence[TensorLaw]
) -> dict[tuple[str, str], float]:
    """Median deviation of initial weights and first updates of each role, whatever they are forgiven."""
    roles = {law.name: law.role for law in laws}
    gathered: dict[tuple[str, str], list[float]] = {}
    for scale in [s for s in scales if s.quantity == "weight_rms"] + list(first.values()):
        quantity = "weight_rms" if scale.quantity == "weight_rms" else "update_rms"
        off = scale.fitted.exponent.overall.value - scale.high
        gathered.setdefault((quantity, roles[scale.name]), []).append(off)
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
    size, optimizers = QUANTITIES[scale.quantity], optimizers_of(measured)
    when = f"until step {scale.step}" if scale.several else f"at step {scale.step}"
    test = exponent_test(
        measured,
        CLAIM,
        scale.fitted,
        {
            scale.kind: scale.name,
            "quantity": scale.quantity,
            "until_step" if scale.several else "step": scale.step,
        },
        what=f"{size[:1].upper()}{size[1:]} of {scale.kind} `{scale.name}` {when}",
        fix=change(scale.quantity, scale.deviation(), optimizers.get(scale.name, "")),
        low=scale.low,
        high=scale.high,
        tolerance=scale.share * measured.settings.exponent_tolerance,
        useful=max(1.0, scale.share) * measured.settings.visible_exponent,
    )
    assert test is not None
    return test


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
