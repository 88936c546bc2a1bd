"""For test suites: an assertion that networks of several widths behave as one model."""

from collections.abc import Sequence
from pathlib import Path

import xarray as xr

from widthwise.adapters import open_runs
from widthwise.audit import Audit, AuditSettings, audit
from widthwise.errors import InputError
from widthwise.report.audit import audit_text


def assert_width_consistent(
    records: xr.Dataset | str | Path | Sequence[str | Path],
    *,
    alpha: float = 0.05,
    claims: Sequence[str] | None = None,
    allow_underpowered: bool = True,
    settings: AuditSettings | None = None,
) -> Audit:
    """Fail unless records pass the width audit.

    A correct model fails with probability at most `alpha`: in a suite that runs daily choose 0.001 and train
    a few seeds more, or fix the seeds of training.

    **Arguments:** `records`, or paths of what `ww.open_runs` opens; `claims`, names of those to test, all if
    None; `allow_underpowered`, whether tests that could not tell pass; nothing tested at all always fails.
    **Returns:** the audit.
    **Errors:** `AssertionError` with the worst rows and advice; `InputError` for what is no ensemble.
    """
    __tracebackhide__ = True
    if isinstance(records, xr.Dataset):
        dataset = records
    elif isinstance(records, str | Path | Sequence):
        dataset = open_runs(records)
    else:
        raise InputError(f"`records` is a {type(records).__name__}: give a dataset, or paths of records")
    found = audit(dataset, alpha=alpha, claims=claims, settings=settings)
    return assert_consistent(found, allow_underpowered=allow_underpowered)


def assert_consistent(found: Audit, *, allow_underpowered: bool = True) -> Audit:
    """Fail unless an audit that was made passes, as `assert_width_consistent` does; returns the audit."""
    __tracebackhide__ = True
    passes = found.verdict == "consistent" or (found.verdict == "underpowered" and allow_underpowered)
    if not (passes and found.rows):
        raise AssertionError(f"\n{audit_text(found)}")
    return found
