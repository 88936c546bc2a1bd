"""From measurements of one part to tests and descriptions with estimates, which `verdict.py` then judges."""

import math
from dataclasses import dataclass

import numpy as np

from widthwise.analysis.estimate import Estimate
from widthwise.analysis.fits import PowerLaw
from widthwise.analysis.measure import Measurement
from widthwise.analysis.part_theory import PartTheory
from widthwise.analysis.power import LargestPower, SlopePower
from widthwise.analysis.scaling import (
    Cells,
    Distances,
    limiting_shift_ratio,
    limiting_variance_ratio,
    measure_distances,
    shift_ratios,
    variance_ratios,
)
from widthwise.analysis.signflip import FORGIVEN_STANDARD_ERRORS, LargestT, student_t
from widthwise.analysis.verdict import OWN, Test
from widthwise.wording import percent

SINGLE_EXPONENT, MEAN_EXPONENT = -0.5, -1.0
# A variance twice theory's, or none, must be visible; so must a shift twice theory's, or none.
VISIBLE_RATIO = 1.0
NARROWER = "narrower widths beside these, where the shift stands out more"
NEXT_ORDER = (
    "Next order resolved: at this width the networks differ from leading order by more than noise. Theory "
    "is tested where a remainder that falls faster with width is removed."
)
ONE_WIDTH = (
    "The networks differ from theory beyond noise, but at one width a remainder of the next order looks like "
    "a fault: train at least one more width."
)


@dataclass(frozen=True)
class PartSummary:
    """One part over all widths: numbers for the report, and tests for the verdict."""

    seeds: dict[int, int]
    variance_ratio: dict[int, Estimate]
    variance_limit: Estimate | None
    shift_ratio: dict[int, Estimate]
    shift_limit: Estimate | None
    distances: Distances
    tests: list[Test]


def summarize_part(
    label: str, cells: Cells, theory: PartTheory, *, alpha: float, rng: np.random.Generator
) -> PartSummary:
    """All estimates and tests of the part `label`; `cells` by ascending width.

    A part has a test of the mean at each width but the narrowest, whose residual frees them of the next
    order, and of the variance and the shift extrapolated to infinite width. What leading order says of one
    width, and the exponents that follow from both, are described: finite widths may differ.
    """
    ratios, shifts = variance_ratios(cells, theory), shift_ratios(cells, theory)
    variance_limit = limiting_variance_ratio(ratios, theory, cells)
    shift_limit = limiting_shift_ratio(shifts, theory, cells)
    distances = measure_distances(cells, theory, alpha, rng)
    part = {"part": label}
    tests = [_mean_test(part | {"width": width}, width, cells, theory, alpha) for width in cells]
    if theory.variance is not None:
        tests += [_variance_at(part | {"width": w}, ratio, alpha) for w, ratio in ratios.items()]
        tests.append(_limit_test("variance_scaling", part, variance_limit, cells, alpha))
    if theory.shift is not None and theory.shift.any():
        tests.append(_limit_test("shift_scaling", part, shift_limit, cells, alpha))
    tests += _exponents(part, distances, cells)
    seeds = {w: cell.seeds for w, cell in cells.items()}
    return PartSummary(seeds, ratios, variance_limit, shifts, shift_limit, distances, tests)


def _mean_test(where: dict, width: int, cells: Cells, theory: PartTheory, alpha: float) -> Test:
    """The largest |t| over elements: against theory with its shift, freed of the next order where a narrower
    width allows it. The narrowest one's own is described, unless what cannot vary is off."""
    cell, alone = cells[width], len(cells) == 1
    narrowest = next((other for other in cells.values() if other.freed is None), cell)
    largest, seeds = cell.raw if cell.freed is None else cell.freed, cell.rows
    if cell.freed is not None:
        seeds = min(seeds, narrowest.rows)
    described = cell.freed is None and not alone and not cell.mismatches
    enough, bound = len(largest.flipped) > 0, _bound(largest, seeds, alpha)
    p = 0.0 if cell.mismatches else largest.p_value()
    size, noise, numerical = _sizes(cell, theory, width)
    what = "theory" if theory.shift is None else "theory with its shift"
    good = f"The ensemble mean agrees with {what}."
    if size > 0:
        good += f" An error of {percent(bound * noise / size, 1)} of its typical size would have been seen."
    weak = "" if enough else "One seed has no scatter to compare with: train more seeds."
    if alone and not cell.mismatches and p < alpha:
        weak = ONE_WIDTH
    if cell.mismatches:
        bad = (
            f"{cell.mismatches} numbers that are the same in every network are not what theory says: check "
            "that both describe the same network and data."
        )
    else:
        bad = (
            "The ensemble mean differs from theory by more than noise and the next order: check theory's "
            "shift and iteration residual, and that both describe the same network."
        )
    return Test(
        claim="mean_infinite_width" if theory.shift is None else "mean_with_shift",
        where=where,
        estimate=student_t(largest.observed, seeds) if enough else None,
        interval=(0.0, bound) if enough else None,
        p_value=None if described else p,
        power=LargestPower(largest.flipped, seeds, numerical / noise) if noise > 0 and enough else None,
        useful=size / noise if noise > 0 and size > 0 else math.inf,
        advice_good=NEXT_ORDER if enough and cell.raw.p_value() < alpha else good,
        advice_bad=bad,
        weak="" if described and enough else weak,
        depth=OWN,
    )


def _bound(largest: LargestT, seeds: int, alpha: float) -> float:
    """Below which the largest |t| stays with probability 1 - alpha if theory is right."""
    if not len(largest.flipped):
        return 0.0
    return student_t(float(np.quantile(largest.flipped, 1 - alpha)), seeds)


def _sizes(cell: Measurement, theory: PartTheory, width: int) -> tuple[float, float, float]:
    """Of a typical element: its value, the standard error of its mean, and what is forgiven of theory's."""
    # Elements differ little in noise: the typical one gives the smallest error that would be seen.
    noise = math.sqrt(float(cell.variance.mean()) / cell.seeds)
    forgiven = FORGIVEN_STANDARD_ERRORS * math.sqrt(float((theory.mean_error(width) ** 2).mean()))
    return math.sqrt(float((theory.value**2).mean())), noise, forgiven


def _variance_at(where: dict, ratio: Estimate, alpha: float) -> Test:
    known = math.isfinite(ratio.error) and ratio.value > 0
    low, high = ratio.ratio_interval(alpha)
    agrees = "N times the variance over seeds is theory's, as far as these seeds can tell."
    return Test(
        claim="variance",
        where=where,
        estimate=ratio.value,
        interval=(low, high) if known else None,
        expected=1.0,
        advice_good=agrees if low <= 1.0 <= high else NEXT_ORDER,
    )


def _limit_test(claim: str, where: dict, limit: Estimate | None, cells: Cells, alpha: float) -> Test:
    """Of a ratio of networks to theory, extrapolated to infinite width."""
    if claim == "variance_scaling":
        good = "Extrapolated to infinite width, N times the variance is theory's."
        bad = (
            "Extrapolated to infinite width, N times the variance is not theory's: check its sensitivity "
            "matrix and numerical error, or add wider networks if the narrowest are far from infinite width."
        )
        few, instead = "Too few seeds for an interval: train four or more at each width.", "more widths"
    else:
        good = "Extrapolated to infinite width, the networks shift as theory says."
        bad = (
            "The networks do not shift as theory says: check the sign and prefactor of its shift, or "
            "add wider networks if the narrowest are far from infinite width."
        )
        few, instead = "Too few seeds to measure a mean: train two or more at each width.", NARROWER
    if limit is None:
        return Test(claim=claim, where=where, expected=1.0, weak=few, depth=OWN)
    p, seeds = limit.p_value(1.0), min(cell.rows for cell in cells.values())
    return Test(
        claim=claim,
        where=where,
        estimate=limit.value,
        interval=limit.interval(alpha),
        expected=1.0,
        p_value=p,
        power=SlopePower((limit,), 0.0, seeds, sides=2),
        useful=VISIBLE_RATIO,
        advice_good=good,
        advice_bad=bad,
        weak=ONE_WIDTH if len(cells) == 1 and p < alpha else "",
        instead=instead,
        depth=OWN,
    )


def _exponents(where: dict, distances: Distances, cells: Cells) -> list[Test]:
    resolved = [w for w in cells if distances.mean_resolved[w]]
    few = (
        f"The mean's distance exceeds its noise at {len(resolved)} of {len(cells)} widths; two are needed "
        "for a slope."
    )
    used = f"Fitted on the resolved widths {', '.join(map(str, resolved))}."
    return [
        _exponent("single_network_exponent", where, distances.single_law, SINGLE_EXPONENT, ("", "")),
        _exponent("ensemble_mean_exponent", where, distances.mean_law, MEAN_EXPONENT, (few, used)),
    ]


def _exponent(claim: str, where: dict, law: PowerLaw | None, expected: float, words: tuple[str, str]) -> Test:
    few, used = words
    if law is None:
        few = few or "Two widths with two seeds each are needed for a slope."
        return Test(claim=claim, where=where, expected=expected, advice_good=few)
    return Test(
        claim=claim,
        where=where,
        estimate=law.exponent,
        interval=(law.low, law.high),
        expected=expected,
        advice_good=f"The distance to infinite width falls as N^{law.exponent:.2f}, at leading order as "
        f"N^{expected:g}. {used}".rstrip(),
    )
