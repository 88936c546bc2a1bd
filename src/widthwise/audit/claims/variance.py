"""The variance of predictions over initializations falls as 1/N."""

import math
from collections.abc import Iterator

import numpy as np

from widthwise.analysis.ensembling import variance_exponent
from widthwise.analysis.estimate import Estimate
from widthwise.analysis.exponents import Exponent
from widthwise.analysis.power import SlopePower
from widthwise.analysis.verdict import Test, Untested
from widthwise.audit.claims.function_gaps import Block, alive_blocks, comparable, too_few
from widthwise.audit.claims.width_exponent import agreement, power
from widthwise.audit.ensemble_view import EnsembleView, NothingToCompare
from widthwise.audit.reading import sound

CLAIM = "variance_scaling"
AGREE = "The networks of a width agree exactly: were they trained from different initializations?"


def tests(measured: EnsembleView) -> list[Test] | Untested:
    r"""The exponent a of $V_N = \frac{1}{E-1} \sum_e \langle |f_e - \bar f|^2 \rangle \sim N^{-a}$ is 1: over
    the early steps, up to the root of the last one, together; and a description of the last step.

    Training at a large rate amplifies differences between initializations until they saturate, and the
    longer it lasts the wider the networks that 1/N takes: a wrong law of the width shows from the start.
    """
    if why := measured.missing("prediction"):
        return Untested(claim=CLAIM, why=why)
    widths, steps = comparable(measured, measured.some_steps(64, "prediction"))
    if len(widths) < 2:
        return Untested(claim=CLAIM, why="there is one width: train at least 2, better 4")
    labels = measured.steps[steps]
    early = [step for step, label in zip(steps, labels, strict=True) if label <= math.sqrt(labels[-1])]
    exponent = _exponent(measured, early, widths)
    if exponent is None:  # as where the readout begins at zero, and only late steps were recorded
        early, exponent = steps, _exponent(measured, steps, widths)
    found = [_test(measured, exponent, {"until_step": int(measured.steps[early[-1]])})]
    if early[-1] != steps[-1]:
        found += _described(measured, _exponent(measured, steps[-1:], widths), {"step": int(labels[-1])})
    return found


def _exponent(
    measured: EnsembleView, steps: list[int], widths: list[int]
) -> tuple[Estimate, int] | str | None:
    """The exponent and the fewest seeds of a width, or why there is none; None where no two networks of a
    width differ."""
    try:
        products = measured.products(widths, _scaled(measured, steps, widths))
    except NothingToCompare:
        return None
    if weak := too_few(products, 2):
        return weak
    if not min(products.variance(w) for w in range(len(widths))) > 0:
        return AGREE
    # Variances are too noisy to ask the wider widths alone: the tolerance must cover the bend.
    fewest = min(products.seeds(w) for w in range(len(widths)))
    return variance_exponent(products).overall, fewest


def _test(measured: EnsembleView, found: tuple[Estimate, int] | str | None, where: dict[str, int]) -> Test:
    if not isinstance(found, tuple):
        return Test(claim=CLAIM, where=where, weak=found or AGREE)
    exponent, fewest = found
    value, tolerance = exponent.value, 2 * measured.settings.exponent_tolerance
    low = 1.0 if measured.settings.limit == "mup" else 0.0  # functions at initialization scatter as they may
    return Test(
        claim=CLAIM,
        where=where,
        estimate=value,
        interval=exponent.interval(measured.alpha),
        expected=1.0,
        p_value=Exponent(exponent, exponent).p_value(low, 1.0, tolerance),
        power=SlopePower(
            (exponent,), tolerance, fewest, beyond=(max(value - 1.0, low - value),), alpha=measured.alpha
        ),
        useful=2 * measured.settings.visible_exponent,
        advice_good=f"The variance over initializations {_goes(value)}, "
        f"{agreement(-value, -1.0, tolerance)}.",
        advice_bad=f"The variance over initializations {_goes(value)} and should fall as N^-1: look "
        "at the scale of the readout, at what is random in training beside the initialization, and whether "
        "half the learning rate mends it.",
    )


def _described(
    measured: EnsembleView, found: tuple[Estimate, int] | str | None, where: dict[str, int]
) -> list[Test]:
    if not isinstance(found, tuple):
        return []
    exponent = found[0]
    return [
        Test(
            claim=CLAIM,
            where=where,
            estimate=exponent.value,
            interval=exponent.interval(measured.alpha),
            expected=1.0,
            advice_good=f"At the last step the variance over initializations {_goes(exponent.value)}"
            + (", slower than N^-1, as where differences saturate." if exponent.value < 1 else "."),
        )
    ]


def _goes(exponent: float) -> str:
    return f"{'falls' if exponent > 0 else 'grows'} as {power(-exponent)}"


def _scaled(measured: EnsembleView, steps: list[int], widths: list[int]) -> Iterator[Block]:
    """Each step in units of its own spread, so that no step outweighs the others; without steps at which
    nothing varies."""
    for part, block in alive_blocks(measured, "prediction", steps, widths):
        for index in range(len(part)):
            at = [values[:, index].reshape(len(values), -1) for values in block]
            good = np.all([sound(v).all(axis=0) for v in at], axis=0)
            at = [v[:, good] for v in at]
            if not good.any():
                continue
            spread = max(float((v - v.mean(axis=0)).std()) if len(v) > 1 else 0.0 for v in at)
            if spread > 0:
                yield [v / spread for v in at]
