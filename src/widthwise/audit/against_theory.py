"""Measured against predicted, as tests of an audit."""

from collections.abc import Sequence
from dataclasses import replace

import xarray as xr

from widthwise.analysis.compare import measure_against
from widthwise.analysis.same_study import nothing_in_common
from widthwise.analysis.verdict import ClaimRow, Test, Untested
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.errors import InputError
from widthwise.progress import SILENT, Progress

CLAIM = "theory"
PREFIX = f"{CLAIM}: "


def theory_tests(
    theory: xr.Dataset, measured: EnsembleView, others: int, progress: Progress = SILENT
) -> tuple[xr.Dataset, list[Test]] | Untested:
    """The numbers of `analysis.compare` for the networks that count, and its tests with "theory: " before
    their claims, to be judged with `others` more; or why there are none.

    A theory of another study or of other points is left aside: the other claims need none.
    """
    if why := nothing_in_common(theory, measured.records):
        return Untested(claim=CLAIM, why=f"theory is left aside: {why}")
    # Copies of a network are no networks of their own: they would hide scatter.
    records = measured.records.assign(done=(("width", "seed"), measured.trained))
    try:
        numbers, tests = measure_against(
            theory, records, alpha=measured.alpha, others=others, progress=progress
        )
    except InputError as error:
        return Untested(claim=CLAIM, why=f"theory is left aside: {error}")
    return numbers, [replace(test, claim=f"{PREFIX}{test.claim}") for test in tests]


def theory_rows(rows: Sequence[ClaimRow]) -> tuple[ClaimRow, ...]:
    """Those of an audit that compare with theory, their claims as `analysis.compare` calls them."""
    mine = [row for row in rows if row.claim.startswith(PREFIX)]
    return tuple(replace(row, claim=row.claim.removeprefix(PREFIX)) for row in mine)
