"""What claims about one number a network share: its exponent in the width."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from widthwise.analysis.exponents import Exponent, fit_exponent
from widthwise.analysis.power import SlopePower
from widthwise.analysis.verdict import SYMPTOM, Test, Where
from widthwise.audit.ensemble_view import EnsembleView


class Fitted(NamedTuple):
    """An exponent, and the fewest networks that it comes from at a width."""

    exponent: Exponent
    fewest: int


def exponent_test(
    measured: EnsembleView,
    claim: str,
    fitted: Fitted | None,
    where: Where,
    *,
    what: str,
    fix: str,
    low: float = 0.0,
    high: float = 0.0,
    tolerance: float | None = None,
    useful: float | None = None,
    depth: int = SYMPTOM,
) -> Test | None:
    """The exponent of positive numbers lies between `low` and `high`, or outside by the tolerance.

    **Arguments:** `fitted`, as from `fit_positive`; `what` is measured, a singular noun, and `fix`, what to
    look at if its exponent is wrong; `tolerance`, by default that of the settings; `useful`, what must be
    visible, `visible_exponent` if None.
    **Returns:** None where nothing was fitted.
    """
    if fitted is None:
        return None
    exponent, fewest = fitted
    forgiven = measured.settings.exponent_tolerance if tolerance is None else tolerance
    value = exponent.overall.value
    expected = min(max(value, low), high)
    weak = f"{what}: one network at some width: train at least 2 seeds, better 6." if fewest < 2 else ""
    return Test(
        claim=claim,
        where=where,
        estimate=value,
        interval=exponent.overall.interval(measured.alpha),
        expected=expected,
        p_value=exponent.p_value(low, high, forgiven),
        power=SlopePower(
            (exponent.overall, exponent.wide),
            forgiven,
            fewest,
            beyond=tuple(max(e.value - high, low - e.value) for e in (exponent.overall, exponent.wide)),
            alpha=measured.alpha,
        ),
        useful=measured.settings.visible_exponent if useful is None else useful,
        advice_good=f"{what} goes as {power(value)}, {agreement(value, expected, forgiven)}.",
        advice_bad=f"{what} goes as {power(value)} and should as {power(expected)}: {fix}.",
        weak=weak,
        depth=depth,
    )


def fit_positive(measured: EnsembleView, values: Sequence[Float[np.ndarray, " _"]]) -> Fitted | None:
    """The exponent of what is positive and finite of `values`, of each network at every width of the records;
    None if fewer than two widths have any."""
    logs = [np.log(v[np.isfinite(v) & (v > 0)]) for v in values]
    widths = [w for w, each in zip(measured.widths, logs, strict=True) if len(each)]
    logs = [each for each in logs if len(each)]
    return None if len(widths) < 2 else Fitted(fit_exponent(widths, logs), min(map(len, logs)))


def power(exponent: float) -> str:
    """A power of the width in words.

    >>> power(-0.7213), power(-0.001), power(1.0)
    ('N^-0.72', 'N^0', 'N^1')
    """
    words = f"{exponent:.2f}".rstrip("0").rstrip(".")
    return f"N^{words if float(words) else 0}"


def agreement(value: float, expected: float, tolerance: float) -> str:
    """How an exponent that does not fail agrees with the expected one: it does, or is forgiven.

    >>> agreement(0.1, 0.0, 0.2), agreement(0.4, 0.0, 0.2)
    ('as it should (N^0)', 'which chance or finite width may make of N^0')
    """
    if abs(value - expected) <= tolerance:
        return f"as it should ({power(expected)})"
    return f"which chance or finite width may make of {power(expected)}"
