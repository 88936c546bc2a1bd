"""Wide networks agree in their predictions, point by point."""

from collections.abc import Iterator

from widthwise.audit.claim import Test, Untested
from widthwise.audit.claims.gaps import Block, alive_blocks, comparable, gap_test
from widthwise.audit.measured import Measured

CLAIM = "predictions"


def tests(measured: Measured) -> list[Test] | Untested:
    r"""Gaps $\langle |\bar f_N - \bar f_M|^2 \rangle^{1/2}$ of seed means shrink, over all steps together and
    at the last one.

    Single networks differ from the limit by N^-1/2, which `variance_scaling` tests; means by N^-1.
    """
    if why := measured.missing("prediction"):
        return Untested(claim=CLAIM, why=why)
    candidates = measured.some_steps(32, "prediction")
    widths, steps = comparable(measured, candidates)
    found = []
    for which in (steps, steps[-1:]) if len(steps) > 1 else (steps,):
        products = measured.products(widths, _predictions(measured, which, widths))
        key = "step" if len(which) == 1 else "until_step"
        where = {key: int(measured.steps[which[-1]])}
        found.append(gap_test(measured, CLAIM, products, where, what="mean predictions"))
    return found


def _predictions(measured: Measured, steps: list[int], widths: list[int]) -> Iterator[Block]:
    for _, block in alive_blocks(measured, "prediction", steps, widths):
        yield block
