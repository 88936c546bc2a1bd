"""Theory against a trained ensemble: `compare` is where a reader begins."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from widthwise.analysis.align import Common, find_common, find_parts
from widthwise.analysis.comparison_dataset import number_dataset
from widthwise.analysis.findings import PartSummary, summarize_part
from widthwise.analysis.measure import Measurement, Signs, VariableMeasurement, measure_variable
from widthwise.analysis.signflip import sign_choices
from widthwise.analysis.verdict import Finding, Verdict, VerdictRow, judge, overall
from widthwise.progress import SILENT, Progress

FEWEST_FLIPS = 999


@dataclass(frozen=True, repr=False)
class Comparison:
    """Numbers and verdicts.

    **Fields:** `numbers`, described in `numbers.py`; `verdicts`, one row a claim; `alpha`, the probability
    that the joint test finds a fault anywhere although theory is right.
    """

    numbers: xr.Dataset
    verdicts: tuple[VerdictRow, ...]
    alpha: float

    def __repr__(self) -> str:
        widths = ", ".join(str(int(width)) for width in self.numbers["width"].to_numpy())
        counts = Counter(row.verdict for row in self.verdicts)
        told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
        return f"Comparison(jointly {self.joint_verdict}; {told}; N = {widths})"

    @property
    def verdict(self) -> Verdict:
        """All rows in one word: inconsistent if any is, else underpowered if any is, else consistent."""
        return overall(self.verdicts)

    @property
    def joint_verdict(self) -> Verdict:
        """The joint test in one word; underpowered only if all its tests are."""
        joint = [row.verdict for row in self.verdicts if row.joint]
        if "inconsistent" in joint:
            return "inconsistent"
        return "consistent" if "consistent" in joint else "underpowered"


def compare(
    theory: xr.Dataset,
    records: xr.Dataset,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Comparison:
    r"""Compare trained networks with theory, at every element and as a whole.

    The **joint test** covers everything that theory predicts at order 1/N, with probability `alpha` of a
    false alarm anywhere (Holm over all its tests). For each part (a split of predictions or losses, a layer
    of a kernel):

    - `mean_with_shift`, at each width but the narrowest: the largest |t| over all steps and elements of the
      mean against v_inf + shift/N, calibrated by random signs of the seeds, so that correlated and
      non-Gaussian elements are right. A remainder c/N^2 is expected and must not count: the narrowest width
      N1's residual times (N1/N)^2 is subtracted, seed by seed. This costs a factor 1 - N1/N of the signal
      and hardly any noise, and needs no choice of widths by looking at them. Theory's standard errors are
      forgiven three times over.
    - `variance_scaling`: N s^2 summed over elements over theory's, as N -> infinity (intercept in 1/N).
    - `shift_scaling`: N (mean - v_inf) over theory's shift by a matched filter, as N -> infinity.

    Beside it stand `mean_with_shift` at the narrowest width and `variance` at each: judged without the next
    order removed, in a family of their own; where they fail although the joint test passes the row says
    that the next order is resolved. `single_network_exponent` (-1/2) and `ensemble_mean_exponent` (-1,
    resolved widths only) are inconsistent if their bootstrap interval leaves the value by more than 0.1 or
    0.2. Without a shift in theory, means are tested against v_inf with a remainder c/N removed.

    Seeds that were not trained or diverged are left out at all steps.

    **Arguments:** `theory` laid out as theory.nc, `records` as records.zarr (may be lazy: one width's steps
    in bounded slabs are in memory at a time); `alpha`; `seed` of the random signs and bootstraps.
    **Errors:** `InputError` where the two cannot be compared.
    """
    common = find_common(theory, records)
    widths = [int(w) for w in records["width"].to_numpy()]
    parts = sum(len(find_parts(theory, v)) for v in common.variables)
    signs = _sign_tables(common, parts * (len(widths) + 1), alpha, seed)
    progress.start("comparing", len(common.variables) * len(widths))
    measured: dict[str, VariableMeasurement] = {}
    summaries: dict[str, PartSummary] = {}
    findings = _divergence_findings(records, common)
    rng = np.random.default_rng([seed, 1])
    for variable in common.variables:
        result = measure_variable(theory, records, variable, common, signs=signs, progress=progress)
        measured[variable] = result
        for part, part_theory in zip(result.parts, result.theories, strict=True):
            cells: dict[int, Measurement] = {
                w: result.cells[part.label, w] for w in sorted(widths) if (part.label, w) in result.cells
            }
            summary = summarize_part(part.label, cells, part_theory, alpha=alpha, rng=rng)
            summaries[part.label] = summary
            findings += summary.findings
    numbers = number_dataset(theory, records, common, measured, summaries, alpha)
    return Comparison(numbers=numbers, verdicts=judge(findings, alpha), alpha=alpha)


def _sign_tables(common: Common, tests: int, alpha: float, seed: int) -> Signs:
    """Enough sign choices for the smallest p-value to pass Holm's first step twice over."""
    flips = max(FEWEST_FLIPS, math.ceil(2 * tests / alpha))
    counts = sorted({int(c) for c in common.valid.sum(axis=1)})
    return {count: sign_choices(count, flips, np.random.default_rng([seed, count])) for count in counts}


def _divergence_findings(records: xr.Dataset, common: Common) -> list[Finding]:
    """A row for each width at which seeds diverged; none where all is well."""
    if "diverged_at" not in records:
        return []
    findings = []
    steps: Mapping[int, np.ndarray] = {
        int(w): row
        for w, row in zip(records["width"].to_numpy(), records["diverged_at"].to_numpy(), strict=True)
    }
    for width, at in sorted(steps.items()):
        bad = at[at >= 0]
        if len(bad):
            findings.append(
                Finding(
                    claim="divergence",
                    part="run",
                    subject="run",
                    width=width,
                    estimate=len(bad) / len(at),
                    expected=0.0,
                    role="alone",
                    weak=f"{len(bad)} of {len(at)} seeds diverged, the first at step {bad.min()}, and are "
                    "left out of every number: lower training.learning_rate.",
                )
            )
    return findings
