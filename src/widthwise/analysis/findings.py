"""From measurements of one part to claims with estimates: what `judge` then rules on."""

import math
from dataclasses import dataclass

import numpy as np

from widthwise.analysis.estimate import Estimate
from widthwise.analysis.fits import PowerLaw
from widthwise.analysis.part_theory import PartTheory
from widthwise.analysis.scaling import (
    Cells,
    Distances,
    limiting_shift_ratio,
    limiting_variance_ratio,
    measure_distances,
    shift_ratios,
    variance_ratios,
)
from widthwise.analysis.signflip import student_t
from widthwise.analysis.verdict import Finding

# An exponent may be this far from its leading-order value at finite widths; more is a disagreement.
SINGLE_EXPONENT, SINGLE_TOLERANCE = -0.5, 0.1
MEAN_EXPONENT, MEAN_TOLERANCE = -1.0, 0.2
VAGUE_SLOPE = "The slope's interval is too wide to tell: train more seeds, or widths further apart."
# A variance ratio whose interval leaves these bounds says too little to be called consistent.
WEAK_RATIO = (0.5, 1.5)


@dataclass(frozen=True)
class PartSummary:
    """One part over all widths: numbers for the report, and findings for the verdict."""

    seeds: dict[int, int]
    variance_ratio: dict[int, Estimate]
    variance_limit: Estimate | None
    shift_ratio: dict[int, Estimate]
    shift_limit: Estimate | None
    distances: Distances
    findings: list[Finding]


def summarize_part(
    label: str, cells: Cells, theory: PartTheory, *, alpha: float, rng: np.random.Generator
) -> PartSummary:
    """All estimates and findings of the part `label`; `cells` by ascending width."""
    ratios, shifts = variance_ratios(cells, theory), shift_ratios(cells, theory)
    variance_limit, shift_limit = limiting_variance_ratio(ratios, theory), limiting_shift_ratio(shifts)
    distances = measure_distances(cells, theory, alpha, rng)
    findings = _mean_findings(label, cells, theory, alpha)
    if theory.variance is not None:
        findings += _variance_findings(label, ratios, variance_limit, alpha)
    if theory.shift is not None and theory.shift.any():
        findings.append(_shift_finding(label, shift_limit, cells, len(shifts), alpha))
    findings += _exponent_findings(label, distances, cells)
    seeds = {w: cell.seeds for w, cell in cells.items()}
    return PartSummary(seeds, ratios, variance_limit, shifts, shift_limit, distances, findings)


def _mean_findings(label: str, cells: Cells, theory: PartTheory, alpha: float) -> list[Finding]:
    claim = "mean_infinite_width" if theory.shift is None else "mean_with_shift"
    what = "theory" if theory.shift is None else "theory with its shift"
    size = math.sqrt(float((theory.value**2).mean()))
    findings = []
    for width, cell in cells.items():
        flipped, seeds = cell.raw.flipped, cell.seeds
        enough = len(flipped) > 0
        bound = student_t(float(np.quantile(flipped, 1 - alpha)), seeds) if enough else 0.0
        # Elements differ little in noise: the typical one gives the smallest error that would be seen.
        noise = math.sqrt(float(cell.variance.mean()) / seeds)
        caught = (
            f" An error of {bound * noise / size:.1%} of its typical size would have been seen."
            if size > 0
            else ""
        )
        p_raw = 0.0 if cell.mismatches else cell.raw.p_value()
        p_freed = p_raw if cell.freed is None else (0.0 if cell.mismatches else cell.freed.p_value())
        alone = cell.freed is None and len(cells) == 1
        joint = cell.freed is not None or alone
        bad = (
            f"{cell.mismatches} numbers that are the same in every network are not what theory says: check "
            "that both describe the same network and data."
            if cell.mismatches
            else "The ensemble mean differs from theory by more than noise and the next order: check "
            "theory's shift and iteration residual, and that both describe the same network."
        )
        findings.append(
            Finding(
                claim=claim,
                part=label,
                subject="mean",
                width=width,
                estimate=student_t(cell.raw.observed, seeds) if enough else None,
                interval=(0.0, bound) if enough else None,
                role="joint" if joint else "side",
                p_value=p_freed if joint else p_raw,
                side_p_value=p_raw,
                smallest_p=1.0 / (1.0 + len(flipped)),
                weak="" if enough else "One seed has no scatter to compare with: train more seeds.",
                separable=not alone or cell.mismatches > 0,
                good=f"The ensemble mean agrees with {what}.{caught}",
                bad=bad,
            )
        )
    return findings


def _variance_findings(
    label: str, ratios: dict[int, Estimate], limit: Estimate | None, alpha: float
) -> list[Finding]:
    few = "Too few seeds for an interval: train four or more."
    findings = []
    for width, ratio in ratios.items():
        known = math.isfinite(ratio.error) and ratio.value > 0
        low, high = ratio.ratio_interval(alpha)
        relative = Estimate(math.log(ratio.value), ratio.error / ratio.value, ratio.dof) if known else None
        findings.append(
            Finding(
                claim="variance",
                part=label,
                subject="variance",
                width=width,
                estimate=ratio.value,
                interval=(low, high) if known else None,
                expected=1.0,
                role="side",
                p_value=relative.p_value(0.0) if relative else 1.0,
                weak=_too_wide(low, high) if known else few,
                separable=len(ratios) > 1,
                good="N times the variance over seeds is theory's.",
                bad="N times the variance is not theory's, nor does it approach it as the width grows.",
            )
        )
    low, high = limit.interval(alpha) if limit else (0.0, math.inf)
    findings.append(
        Finding(
            claim="variance_scaling",
            part=label,
            subject="variance",
            estimate=limit.value if limit else None,
            interval=(low, high) if limit else None,
            expected=1.0,
            p_value=limit.p_value(1.0) if limit else 1.0,
            weak=_too_wide(low, high) if limit else few,
            separable=len(ratios) > 1,
            good="Extrapolated to infinite width, N times the variance is theory's.",
            bad="Extrapolated to infinite width, N times the variance is not theory's: check its sensitivity "
            "matrix and numerical error, or add wider networks if the narrowest are far from infinite width.",
        )
    )
    return findings


def _shift_finding(label: str, limit: Estimate | None, cells: Cells, widths: int, alpha: float) -> Finding:
    low, high = limit.interval(alpha) if limit else (-math.inf, math.inf)
    weak = "Too few seeds to measure a mean: train more."
    if limit and math.isfinite(high):
        half = (high - low) / 2
        # Errors fall as one over the square root of the number of seeds; aim at half the shift.
        seeds = max(cell.seeds for cell in cells.values()) * (half / 0.5) ** 2
        weak = (
            ""
            if half < 1.0
            else f"Noise hides the shift: about {_rounded(seeds)} seeds a width would resolve it."
        )
    return Finding(
        claim="shift_scaling",
        part=label,
        subject="mean",
        estimate=limit.value if limit else None,
        interval=(low, high) if limit and math.isfinite(high) else None,
        expected=1.0,
        p_value=limit.p_value(1.0) if limit else 1.0,
        weak=weak,
        separable=widths > 1,
        good="Extrapolated to infinite width, the networks shift as theory says.",
        bad="The networks do not shift as theory says: check the sign and prefactor of its shift, or "
        "add wider networks if the narrowest are far from infinite width.",
    )


def _exponent_findings(label: str, distances: Distances, cells: Cells) -> list[Finding]:
    resolved = [w for w in cells if distances.mean_resolved[w]]
    few = (
        f"The mean's distance exceeds its noise at {len(resolved)} of {len(cells)} widths, two are needed "
        "for a slope: train more seeds."
    )
    used = f" Fitted on the resolved widths {', '.join(map(str, resolved))}."
    return [
        _exponent_finding(
            "single_network_exponent",
            label,
            distances.single_law,
            cells,
            expected=(SINGLE_EXPONENT, SINGLE_TOLERANCE),
            missing="Two widths with two seeds each are needed for a slope.",
            used="",
        ),
        _exponent_finding(
            "ensemble_mean_exponent",
            label,
            distances.mean_law,
            cells,
            expected=(MEAN_EXPONENT, MEAN_TOLERANCE),
            missing=few,
            used=used,
        ),
    ]


def _exponent_finding(
    claim: str,
    label: str,
    law: PowerLaw | None,
    cells: Cells,
    *,
    expected: tuple[float, float],
    missing: str,
    used: str,
) -> Finding:
    target, tolerance = expected
    if law is None:
        return Finding(
            claim=claim, part=label, subject="exponent", expected=target, role="alone", weak=missing
        )
    off = law.exponent - target
    edge = target + math.copysign(tolerance, off)
    dof = max(1.0, min(cell.seeds for cell in cells.values()) - 1.0)
    beyond = Estimate(law.exponent, law.error, dof).p_value(edge) if abs(off) > tolerance else 1.0
    return Finding(
        claim=claim,
        part=label,
        subject="exponent",
        estimate=law.exponent,
        interval=(law.low, law.high),
        expected=target,
        role="alone",
        p_value=beyond,
        weak=VAGUE_SLOPE if law.high - law.low > 4 * tolerance else "",
        good=f"The distance to infinite width falls as it should, within {tolerance}.{used}",
        bad="The distance does not fall as leading order says: the narrow widths are not yet in its regime, "
        f"or theory's infinite width is wrong.{used}",
    )


def _too_wide(low: float, high: float) -> str:
    if low >= WEAK_RATIO[0] and high <= WEAK_RATIO[1]:
        return ""
    return "The interval is too wide to tell: train more seeds."


def _rounded(number: float) -> str:
    return f"{float(f'{number:.1g}'):,.0f}"
