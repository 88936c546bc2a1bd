"""What claims about functions share: gaps between widths that must shrink."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from widthwise.analysis.gaps import Products, converging_gaps, gap_exponent
from widthwise.analysis.verdict import SYMPTOM, Test, Where
from widthwise.audit.ensemble_view import EnsembleView, NothingToCompare
from widthwise.wording import percent

Block = list[Float[np.ndarray, "_ ..."]]


def gap_test(
    measured: EnsembleView,
    claim: str,
    products: Products,
    where: Where,
    *,
    what: str,
    size: float | None = None,
    depth: int = SYMPTOM,
) -> Test:
    """The gap between the two widest widths' means is smaller than that between the two narrowest.

    Estimate: the exponent of the gaps in 1/N where they are resolved, expected 1; else the relative gap that
    noise leaves open. Finite-width theory expects gaps ~ 1/N, and slower late on hard tasks: only gaps that
    shrink slower than N^-`least_convergence` count, and only beyond `allowed_gap` of the size.

    **Arguments:** `what`, a plural noun for the advice; `size`, the root mean square that gaps are relative
    to, by default that of the widest width's mean.
    """
    settings, widths = measured.settings, products.widths
    size = math.sqrt(max(products.mean_size(len(widths) - 1), 0.0)) if size is None else size
    weak = too_few(products, 3)
    if not weak and not (size > 0 and math.isfinite(size)):
        weak = f"The {what} are zero at every network: there is nothing to compare."
    if weak:
        return Test(claim=claim, where=where, weak=weak, depth=depth)
    scaled = replace(products, gram=products.gram / size**2)
    test = converging_gaps(scaled, least=settings.least_convergence, allowed=settings.allowed_gap)
    assert test is not None
    found = gap_exponent(scaled, measured.alpha, np.random.default_rng(settings.seed))
    gap = test.wide
    between = f"between N = {widths[-2]} and {widths[-1]}"
    agree = _agreement(gap, test.narrow, settings.allowed_gap)
    ratio = f"{gap:.2g} of their size {between}, {test.narrow:.2g} between N = {widths[0]} and {widths[1]}"
    return Test(
        claim=claim,
        where=dict(where) | {"unit": "relative gap" if found is None else "exponent of gaps"},
        estimate=max(0.0, scaled.unbiased(len(widths) - 2, len(widths) - 1)) ** 0.5
        if found is None
        else found[0],
        interval=(0.0, gap + test.noise * 2) if found is None else found[1],
        expected=0.0 if found is None else 1.0,
        p_value=test.p_value,
        power=test,
        useful=max(settings.visible_gap, 2 * test.kappa * test.narrow + settings.allowed_gap),
        advice_good=f"The {what} {agree}: they differ by {ratio}.",
        advice_bad=f"The {what} do not converge as the width grows: they differ by {ratio}.",
        depth=depth,
    )


def _agreement(wide: float, narrow: float, allowed: float) -> str:
    if wide <= narrow:
        return "converge"
    return f"agree to {percent(allowed)}" if wide <= allowed else "may converge, as far as seeds can tell"


def too_few(products: Products, widths: int) -> str:
    """Why gaps say nothing, or empty."""
    if len(products.widths) < widths:
        return f"{len(products.widths)} widths: train at least {widths}, each twice the one before."
    short = [w for i, w in enumerate(products.widths) if products.seeds(i) < 2]
    return f"One network at N = {short[0]}: train at least 2 seeds, better 6." if short else ""


def alive_blocks(
    measured: EnsembleView, name: str, steps: Sequence[int], widths: Sequence[int]
) -> Iterable[tuple[list[int], Block]]:
    """Slabs of `steps` with each width's networks that count at all of them, (seed, step, ...)."""
    counted = counting(measured, steps)
    for part in measured.slabs(name, steps):
        yield part, [measured.read(name, width, part)[counted[width]] for width in widths]


def alive_curves(
    measured: EnsembleView, name: str, steps: Sequence[int], widths: Sequence[int]
) -> list[Float[np.ndarray, "_ step split"]]:
    """Losses, or another number a step, of each width's networks that count at all of `steps`; one split
    where it has none."""
    counted = counting(measured, steps)
    curves = [measured.read(name, width, steps)[counted[width]] for width in widths]
    return [curve.reshape(*curve.shape[:2], math.prod(curve.shape[2:])) for curve in curves]


def counting(measured: EnsembleView, steps: Sequence[int]) -> np.ndarray:
    """(width, seed): networks that count at every one of the steps."""
    return measured.trained & measured.alive[:, :, list(steps)].all(axis=2)


def comparable(measured: EnsembleView, candidates: Sequence[int]) -> tuple[list[int], list[int]]:
    """(widths, steps) to compare at: steps at which every width that has networks at the first candidate at
    which there are any still has two, and these widths.

    **Errors:** `NothingToCompare` if there are networks at none.
    """
    candidates = [s for s in candidates if measured.usable(s).any()]
    if not candidates:
        raise NothingToCompare("no network that counts has a finite loss at these steps: record it")
    start = [w for w in range(len(measured.widths)) if measured.usable(candidates[0])[w].any()]
    steps, kept = [], measured.trained
    for step in candidates:  # two that count at all of them: networks may be missing at some steps only
        still = kept & measured.usable(step)
        if (still[start].sum(axis=1) >= 2).all():
            steps, kept = [*steps, step], still
    return start, steps or list(candidates[:1])
