"""Spectra of the tangent kernel agree between widths; what differs is the task's power in its modes."""

import numpy as np

from widthwise.analysis.spectrum_exchange import Swap, residual_curves, residual_times, swap_test
from widthwise.analysis.verdict import Test, Untested
from widthwise.audit.claims.function_gaps import Block, comparable, gap_test
from widthwise.audit.claims.kernel_modes import EIGENVALUE, KERNEL, modes_at, source_of
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.wording import percent

CLAIM = "spectra"


def tests(measured: EnsembleView) -> list[Test] | Untested:
    r"""Gaps of the eigenvalues and, with the task's power in the modes, of the residual curves
    $R(t) = \sum_k c_k e^{-2 \lambda_k t}$, before and after training; as recorded, or of the recorded
    tangent kernels and targets.

    Residual curves rather than powers of single modes, which swap where eigenvalues are nearly equal. The
    swap test takes eigenvalues of one width and powers of another, and says which of them carries the gap.
    """
    source = source_of(measured)
    if source is None:
        why = measured.missing(EIGENVALUE) and f"{measured.missing(EIGENVALUE)}, or record `{KERNEL}`"
        return Untested(claim=CLAIM, why=why or f"`{EIGENVALUE}` lacks step or mode")
    widths, steps = comparable(measured, measured.some_steps(64, source))
    found = []
    for step in dict.fromkeys((steps[0], steps[-1])):
        modes = modes_at(measured, widths, step)
        where = {"quantity": "eigenvalues", "step": int(measured.steps[step])}
        products = measured.products(widths, iter([modes.values]))
        found.append(gap_test(measured, CLAIM, products, where, what="spectra"))
        if modes.powers is not None:
            both = zip(modes.values, modes.powers, strict=True)
            times = residual_times(modes.values)
            curves = [residual_curves(values, powers, times) for values, powers in both]
            where = {"quantity": "residual curve", "step": int(measured.steps[step])}
            products = measured.products(widths, iter([curves]))
            test = gap_test(measured, CLAIM, products, where, what="residual curves of the tangent kernel")
            found += [test, _swap(measured, (modes.values, modes.powers), where)]
    return found


def _swap(measured: EnsembleView, both: tuple[Block, Block], where: dict) -> Test:
    """Which part of the gap between the narrowest and the widest comes with the eigenvalues alone."""
    values, powers = both
    rng = np.random.default_rng(measured.settings.seed)
    swap = swap_test((values[0], powers[0]), (values[-1], powers[-1]), measured.alpha, rng)
    return Test(
        claim=CLAIM,
        where=where | {"quantity": "swap test"},
        estimate=swap.share,
        interval=swap.interval,
        advice_good="Of the gap between the narrowest and the widest network's residual curve, "
        f"{swap.largest:.2g} of the task where it is largest, {_carried(swap)}.",
    )


def _carried(swap: Swap) -> str:
    """What of the gap comes with the eigenvalues, where one part may be larger than the whole."""
    low, high = swap.interval
    if low <= 0.5 <= high:
        return "seeds leave open how much eigenvalues carry"
    parts = ("the eigenvalues", "the power of the task in slower modes")
    most, least = parts if low > 0.5 else parts[::-1]
    more = max(swap.share, 1 - swap.share)
    told = f"eigenvalues carry {percent(min(max(swap.share, 0.0), 1.0), 1)}"
    if more >= 1.005:  # beyond rounding
        told = f"{most} alone would make {more:.3g} times as much, which {least} partly undo"
    return f"{told}: what differs is {most}"
