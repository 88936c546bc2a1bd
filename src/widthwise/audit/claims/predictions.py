"""Wide networks agree in their predictions, point by point."""

from collections.abc import Iterator

from widthwise.analysis.gaps import Products
from widthwise.analysis.verdict import Test, Untested
from widthwise.audit.claims.classes import by_class, loss_kind, without_common_part
from widthwise.audit.claims.function_gaps import Block, alive_blocks, comparable, gap_test
from widthwise.audit.ensemble_view import EnsembleView

CLAIM = "predictions"


def tests(measured: EnsembleView) -> list[Test] | Untested:
    r"""Gaps $\langle |\bar f_N - \bar f_M|^2 \rangle^{1/2}$ of seed means shrink, over all steps together and
    at the last one.

    Single networks differ from the limit by N^-1/2, which `variance_scaling` tests; means by N^-1.
    Of classes, of logits less their mean over classes, which no probability depends on.
    """
    if why := measured.missing("prediction"):
        return Untested(claim=CLAIM, why=why)
    candidates = measured.some_steps(32, "prediction")
    widths, steps = comparable(measured, candidates)
    found = []
    for which in (steps, steps[-1:]) if len(steps) > 1 else (steps,):
        products = mean_products(measured, which, widths)
        key = "step" if len(which) == 1 else "until_step"
        where = {key: int(measured.steps[which[-1]])}
        found.append(gap_test(measured, CLAIM, products, where, what="mean predictions"))
    return found


def mean_products(measured: EnsembleView, steps: list[int], widths: list[int]) -> Products:
    """Of predictions at all of `steps`; of classes, of logits less their mean over classes."""
    classes = by_class(measured) and loss_kind(measured) == "cross_entropy"
    return measured.once(
        f"products of predictions of {widths} at {steps}",
        lambda: measured.products(widths, _predictions(measured, steps, widths, classes=classes)),
    )


def _predictions(
    measured: EnsembleView, steps: list[int], widths: list[int], *, classes: bool
) -> Iterator[Block]:
    for _, block in alive_blocks(measured, "prediction", steps, widths):
        yield [without_common_part(values, measured) for values in block] if classes else block
