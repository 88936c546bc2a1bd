"""Measured against predicted, as rows of an audit."""

import xarray as xr

from widthwise.analysis.compare import Comparison, compare
from widthwise.analysis.same_study import nothing_in_common
from widthwise.analysis.verdict import VerdictRow
from widthwise.audit.claim import OWN, SYMPTOM, ClaimRow, Untested
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.errors import InputError
from widthwise.progress import SILENT, Progress

CLAIM = "theory"


def compare_with(
    theory: xr.Dataset, measured: EnsembleView, alpha: float, progress: Progress = SILENT
) -> Comparison | Untested:
    """The comparison of `analysis.compare` with the networks that count, or why there is none.

    Its joint test and its exponents are two families; each is held to half of `alpha`. A theory of another
    study or of other points is left aside: the other claims need none.
    """
    if why := nothing_in_common(theory, measured.records):
        return Untested(claim=CLAIM, why=f"theory is left aside: {why}")
    # Copies of a network are no networks of their own: they would hide scatter.
    records = measured.records.assign(done=(("width", "seed"), measured.trained))
    try:
        return compare(theory, records, alpha=alpha / 2, progress=progress)
    except InputError as error:
        return Untested(claim=CLAIM, why=f"theory is left aside: {error}")


def theory_rows(comparison: Comparison) -> tuple[ClaimRow, ...]:
    """Its verdicts, with "theory: " before their claims."""
    return tuple(_row(row) for row in comparison.verdicts)


def _row(row: VerdictRow) -> ClaimRow:
    where: dict[str, str | int | float] = {"part": row.part}
    if row.width is not None:
        where["width"] = row.width
    half = None if row.interval is None else (row.interval[1] - row.interval[0]) / 2
    return ClaimRow(
        claim=f"{CLAIM}: {row.claim}",
        verdict=row.verdict,
        where=where,
        estimate=row.estimate,
        interval=row.interval,
        expected=row.expected,
        resolution=half,
        p_value=row.p_value,
        advice=row.advice,
        more_seeds=None,
        depth=OWN if row.joint else SYMPTOM,
    )
