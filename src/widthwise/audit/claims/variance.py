"""The variance of predictions over initializations falls as 1/N."""

from collections.abc import Iterator

import numpy as np

from widthwise.analysis.ensembling import variance_exponent
from widthwise.analysis.exponents import Exponent
from widthwise.analysis.power import SlopePower
from widthwise.audit.claim import Test, Untested
from widthwise.audit.claims.gaps import Block, alive_blocks, comparable, too_few
from widthwise.audit.measured import Measured
from widthwise.audit.reading import sound
from widthwise.errors import InputError

CLAIM = "variance_scaling"


def tests(measured: Measured) -> list[Test] | Untested:
    r"""The exponent a of $V_N = \frac{1}{E-1} \sum_e \langle |f_e - \bar f|^2 \rangle \sim N^{-a}$ is 1: over
    all steps together, and at the last one.

    Training at a large rate amplifies differences between initializations until they saturate: then the
    variance falls more slowly until networks are wider, which a rate half as large tells apart from a fault.
    """
    if why := measured.missing("prediction"):
        return Untested(claim=CLAIM, why=why)
    widths, steps = comparable(measured, measured.some_steps(32, "prediction"))
    if len(widths) < 2:
        return Untested(claim=CLAIM, why="there is one width: train at least 2, better 4")
    found = []
    for which in (steps, steps[-1:]) if len(steps) > 1 else (steps,):
        key = "step" if len(which) == 1 else "until_step"
        found.append(_test(measured, which, widths, {key: int(measured.steps[which[-1]])}))
    return found


def _test(measured: Measured, steps: list[int], widths: list[int], where: dict[str, int]) -> Test:
    try:
        products = measured.products(widths, _scaled(measured, steps, widths))
    except InputError:
        same = "No two networks of a width differ: train at least 2 seeds, from different initializations."
        return Test(claim=CLAIM, where=where, weak=same)
    variances = [products.variance(w) for w in range(len(widths))]
    weak = too_few(products, 2)
    if not weak and not min(variances) > 0:
        weak = "The networks of a width agree exactly: were they trained from different initializations?"
    if weak:
        return Test(claim=CLAIM, where=where, weak=weak)
    # Of a square: a fault moves it by twice as much as a scale's.
    exponent, tolerance = variance_exponent(products), 2 * measured.settings.exponent_tolerance
    # Variances are too noisy to ask the wider widths alone: the tolerance must cover the bend.
    exponent = Exponent(exponent.overall, exponent.overall)
    value = exponent.overall.value
    fewest = min(products.seeds(w) for w in range(len(widths)))
    return Test(
        claim=CLAIM,
        where=where,
        estimate=value,
        interval=exponent.overall.interval(measured.alpha),
        expected=1.0,
        p_value=exponent.p_value(1.0, 1.0, tolerance),
        power=SlopePower((exponent.overall,), tolerance, fewest),
        useful=2 * measured.settings.visible_exponent,
        advice_good=f"The variance over initializations falls as N^-{value:.2f}, as it should (1/N).",
        advice_bad=f"The variance over initializations goes as N^{-value:.2f} and should fall as 1/N: look "
        "at the scale of the readout, at what is random in training beside the initialization, and whether "
        "half the learning rate mends it: differences that a large one amplifies saturate.",
    )


def _scaled(measured: Measured, steps: list[int], widths: list[int]) -> Iterator[Block]:
    """Each step in units of its own spread, so that no step outweighs the others."""
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
