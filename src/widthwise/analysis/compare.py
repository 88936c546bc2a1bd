"""Theory against a trained ensemble: `compare` is where a reader begins."""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import xarray as xr

from widthwise.analysis.align import Common, find_common, find_parts
from widthwise.analysis.comparison_dataset import number_dataset
from widthwise.analysis.findings import PartSummary, summarize_part
from widthwise.analysis.measure import Measurement, Signs, VariableMeasurement, measure_variable
from widthwise.analysis.signflip import sign_choices
from widthwise.analysis.step_blocks import step_slabs
from widthwise.analysis.verdict import ClaimRow, Test, Verdict, judge, overall
from widthwise.progress import SILENT, Progress

FEWEST_FLIPS = 999


@dataclass(frozen=True, repr=False)
class Comparison:
    """Numbers and verdicts.

    **Fields:** `numbers`, described in `comparison_dataset.py`; `verdicts`, one row a claim and part, worst
    first; `alpha`, the probability that any row is inconsistent although theory is right.
    """

    numbers: xr.Dataset
    verdicts: tuple[ClaimRow, ...]
    alpha: float

    def __repr__(self) -> str:
        widths = ", ".join(str(int(width)) for width in self.numbers["width"].to_numpy())
        counts = Counter(row.verdict for row in self.verdicts if row.judges)
        told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
        return f"Comparison({self.verdict}; {told}; N = {widths})"

    @property
    def verdict(self) -> Verdict:
        """All rows in one word: inconsistent if any is, else underpowered if any is, else consistent."""
        return overall(self.verdicts)


def compare(
    theory: xr.Dataset,
    records: xr.Dataset,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Comparison:
    r"""Compare trained networks with theory, at every element and as a whole.

    Everything that theory predicts at order 1/N is tested, with probability `alpha` of a false alarm anywhere
    (Holm over all tests). For each part (a split of predictions or losses, a layer of a kernel):

    - `mean_with_shift`, at each width but the narrowest: the largest |t| over all steps and elements of the
      mean against v_inf + shift/N, calibrated by random signs of the seeds, so that correlated and
      non-Gaussian elements are right. A remainder c/N^2 is expected and must not count: the narrowest width
      N1's residual times (N1/N)^2 is subtracted, seed by seed. This costs a factor 1 - N1/N of the signal
      and hardly any noise, and needs no choice of widths by looking at them. Theory's standard errors are
      forgiven three times over. Without a shift in theory, means are tested against v_inf with a remainder
      c/N removed, as `mean_infinite_width`.
    - `variance_scaling`: N s^2 summed over elements over theory's, as N -> infinity (intercept in 1/N).
    - `shift_scaling`: N (mean - v_inf) over theory's shift by a matched filter, as N -> infinity.

    A test that does not fail is consistent if it could have seen a ratio of 0 or 2, or an error of the mean
    as large as the mean; else underpowered, and says what would decide it. Rows that describe stand beside:
    `mean_with_shift` at the narrowest width and `variance` at each, where the next order may show, and
    `single_network_exponent` (-1/2) and `ensemble_mean_exponent` (-1, resolved widths only).

    Seeds that were not trained or diverged are left out at all steps. Where records say by `family` which
    networks share initial weights across widths, rows of the tests are families, and shifts come from the
    differences within them (`families.py`).

    **Arguments:** `theory` laid out as theory.nc, `records` as records.zarr (may be lazy: one width's steps
    in bounded slabs are in memory at a time); `alpha`; `seed` of the random signs and bootstraps.
    **Errors:** `InputError` where the two cannot be compared.
    """
    numbers, tests = measure_against(theory, records, alpha=alpha, seed=seed, progress=progress)
    return Comparison(numbers=numbers, verdicts=judge(tests, alpha), alpha=alpha)


def measure_against(
    theory: xr.Dataset,
    records: xr.Dataset,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    others: int = 0,
    progress: Progress = SILENT,
) -> tuple[xr.Dataset, list[Test]]:
    """The numbers of `compare`, and its tests before they are judged, together with `others` more."""
    common = find_common(theory, records)
    widths = [int(w) for w in records["width"].to_numpy()]
    parts = sum(len(find_parts(theory, v)) for v in common.variables)
    signs = _sign_tables(common, parts * (len(widths) + 2) + others, alpha, seed)
    slabs = sum(len(list(step_slabs(records, v, len(common.steps)))) for v in common.variables)
    progress.start("comparing", slabs * len(widths))
    measured: dict[str, VariableMeasurement] = {}
    summaries: dict[str, PartSummary] = {}
    tests = _divergences(records)
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
            tests += summary.tests
    return number_dataset(theory, records, common, measured, summaries, alpha), tests


def _sign_tables(common: Common, tests: int, alpha: float, seed: int) -> Signs:
    """Enough sign choices for the smallest p-value to pass Holm's first step twice over."""
    flips = max(FEWEST_FLIPS, math.ceil(2 * tests / alpha))
    return {
        count: sign_choices(count, flips, np.random.default_rng([seed, count]))
        for count in sorted(common.rows())
    }


def _divergences(records: xr.Dataset) -> list[Test]:
    """A row for each width at which seeds diverged; none where all is well."""
    if "diverged_at" not in records:
        return []
    tests = []
    at_widths = records["diverged_at"].transpose("width", "seed").to_numpy()
    for width, at in sorted(zip(map(int, records["width"].to_numpy()), at_widths, strict=True)):
        bad = at[at >= 0]
        if len(bad):
            weak = (
                f"{len(bad)} of {len(at)} seeds diverged, the first at step {bad.min()}, and are left out of "
                "every number: lower training.learning_rate."
            )
            where = {"part": "run", "width": width}
            share = len(bad) / len(at)
            tests.append(Test(claim="divergence", where=where, estimate=share, expected=0.0, weak=weak))
    return tests
