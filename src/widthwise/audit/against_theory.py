"""Measured against predicted, as rows of an audit."""

import xarray as xr

from widthwise.analysis.compare import compare
from widthwise.analysis.verdict import VerdictRow
from widthwise.audit.claim import OWN, SYMPTOM, ClaimRow


def theory_rows(records: xr.Dataset, theory: xr.Dataset, alpha: float) -> tuple[ClaimRow, ...]:
    """The verdicts of `analysis.compare`, with "theory: " before their claims.

    Its joint test and its exponents are two families; each is held to half of `alpha`.

    **Errors:** `InputError` where theory and records cannot be compared.
    """
    return tuple(_row(row) for row in compare(theory, records, alpha=alpha / 2).verdicts)


def _row(row: VerdictRow) -> ClaimRow:
    where: dict[str, str | int | float] = {"part": row.part}
    if row.width is not None:
        where["width"] = row.width
    half = None if row.interval is None else (row.interval[1] - row.interval[0]) / 2
    return ClaimRow(
        claim=f"theory: {row.claim}",
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
