"""The variance of predictions over initializations falls as 1/N."""

from widthwise.analysis.ensembling import variance_exponent
from widthwise.analysis.estimate import Estimate
from widthwise.analysis.exponents import Exponent
from widthwise.analysis.power import SlopePower
from widthwise.audit.claim import Test, Untested
from widthwise.audit.claims.gaps import alive_blocks, comparable, too_few
from widthwise.audit.measured import Measured

CLAIM = "variance_scaling"


def tests(measured: Measured) -> list[Test] | Untested:
    r"""The exponent a of $V_N = \frac{1}{E-1} \sum_e \langle |f_e - \bar f|^2 \rangle \sim N^{-a}$, mean over
    steps, is 1; and a description of the last step alone.

    The mean is that of the steps at which networks differ most. Long after the task is learned what is left
    of their differences need not fall as 1/N: training at a large rate amplifies them until they saturate.
    """
    if why := measured.missing("prediction"):
        return Untested(claim=CLAIM, why=why)
    widths, steps = comparable(measured, measured.some_steps(32, "prediction"))
    if len(widths) < 2:
        return Untested(claim=CLAIM, why="there is one width: train at least 2, better 4")
    last = int(measured.steps[steps[-1]])
    found = [_test(measured, _exponent(measured, steps, widths), {"until_step": last})]
    if len(steps) > 1:
        found += _described(measured, _exponent(measured, steps[-1:], widths), {"step": last})
    return found


def _exponent(measured: Measured, steps: list[int], widths: list[int]) -> tuple[Estimate, int] | str:
    """The exponent and the fewest seeds of a width, or why there is none."""
    blocks = (block for _, block in alive_blocks(measured, "prediction", steps, widths))
    products = measured.products(widths, blocks)
    if weak := too_few(products, 2):
        return weak
    if not min(products.variance(w) for w in range(len(widths))) > 0:
        return "The networks of a width agree exactly: were they trained from different initializations?"
    # Variances are too noisy to ask the wider widths alone: the tolerance must cover the bend.
    fewest = min(products.seeds(w) for w in range(len(widths)))
    return variance_exponent(products).overall, fewest


def _test(measured: Measured, found: tuple[Estimate, int] | str, where: dict[str, int]) -> Test:
    if isinstance(found, str):
        return Test(claim=CLAIM, where=where, weak=found)
    exponent, fewest = found
    value, tolerance = exponent.value, 2 * measured.settings.exponent_tolerance
    return Test(
        claim=CLAIM,
        where=where,
        estimate=value,
        interval=exponent.interval(measured.alpha),
        expected=1.0,
        p_value=Exponent(exponent, exponent).p_value(1.0, 1.0, tolerance),
        power=SlopePower((exponent,), tolerance, fewest),
        useful=2 * measured.settings.visible_exponent,
        advice_good=f"The variance over initializations falls as N^-{value:.2f}, as it should (1/N).",
        advice_bad=f"The variance over initializations goes as N^{-value:.2f} and should fall as 1/N: look "
        "at the scale of the readout, at what is random in training beside the initialization, and whether "
        "half the learning rate mends it.",
    )


def _described(measured: Measured, found: tuple[Estimate, int] | str, where: dict[str, int]) -> list[Test]:
    if isinstance(found, str):
        return []
    exponent = found[0]
    return [
        Test(
            claim=CLAIM,
            where=where,
            estimate=exponent.value,
            interval=exponent.interval(measured.alpha),
            expected=1.0,
            advice_good="At the last step the variance over initializations goes as "
            f"N^{-exponent.value:.2f}; less than 1/N is of differences that saturate, as at a large rate.",
        )
    ]
