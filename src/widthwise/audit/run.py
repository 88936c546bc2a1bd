"""The audit: `audit` is where a reader begins."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from widthwise.analysis.compare import Comparison
from widthwise.analysis.verdict import Verdict
from widthwise.audit.against_theory import CLAIM as THEORY
from widthwise.audit.against_theory import compare_with, theory_rows
from widthwise.audit.audit_settings import AuditSettings
from widthwise.audit.claim import ClaimRow, Test, Untested, judge, sort_rows
from widthwise.audit.claims import CLAIMS, DESCRIPTIONS
from widthwise.audit.claims.bias import Ensembles, measure_ensembles
from widthwise.audit.ensemble_view import EnsembleView, NothingToCompare, measure
from widthwise.audit.sentences import summarize
from widthwise.errors import InputError
from widthwise.progress import SILENT, Progress
from widthwise.records.evidence import evidence

SCHEMA = 1


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    **Fields:** `rows`, worst first; `untested`, what the records do not allow; `evidence`, widths, seeds,
    steps, alpha, versions; `summary`, sentences for a practitioner; `comparison`, measured against predicted,
    where there was a theory of the same study; `ensembles`, losses of ensembles at every width, where
    predictions and targets allow; a file keeps neither.
    """

    rows: tuple[ClaimRow, ...]
    untested: tuple[Untested, ...]
    evidence: dict[str, object]
    summary: tuple[str, ...]
    comparison: Comparison | None = field(default=None, compare=False)
    ensembles: Ensembles | None = field(default=None, compare=False, repr=False)

    @property
    def verdict(self) -> Verdict:
        """Inconsistent if any row is, else underpowered if any is or none judges, else consistent."""
        verdicts = {row.verdict for row in self.rows if row.judges}
        if "inconsistent" in verdicts:
            return "inconsistent"
        return "underpowered" if "underpowered" in verdicts or not verdicts else "consistent"

    def __repr__(self) -> str:
        return f"Audit({self.verdict}: {len(self.rows)} rows, {len(self.untested)} untested)"

    def to_json(self) -> dict[str, object]:
        """As `verdict.json`: schema, verdict, claims, untested, evidence, summary."""
        return {
            "schema": SCHEMA,
            "verdict": self.verdict,
            "summary": list(self.summary),
            "claims": [row.to_json() for row in self.rows],
            "untested": [{"claim": each.claim, "why": each.why} for each in self.untested],
            "evidence": self.evidence,
        }


@np.errstate(all="ignore")  # what overflows is not finite, and is never judged
def audit(
    records: xr.Dataset,
    theory: xr.Dataset | None = None,
    *,
    alpha: float = 0.05,
    claims: Sequence[str] | None = None,
    settings: AuditSettings | None = None,
    progress: Progress = SILENT,
) -> Audit:
    """Judge whether an ensemble of networks of several widths behaves as one that scales correctly.

    Every claim's tests forgive what finite width may do and are judged together by Holm's method: a correct
    ensemble is called inconsistent with probability at most `alpha`.

    **Arguments:** `records` of any training code, lazy or not; `theory`, as theory.nc: then measured against
    predicted too, at half of `alpha` each, unless it is of another study, which is said; `claims`, names of
    those to test, "theory" among them, all if None.
    **Errors:** `InputError` for records that are no ensemble, an unknown claim, an `alpha` not in (0, 1/2].
    """
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not 0 < alpha <= 0.5:
        raise InputError(f"`alpha` = {alpha!r}: give a probability of a false alarm, such as 0.05")
    chosen = _chosen(claims)
    if settings is not None and not isinstance(settings, AuditSettings):
        raise InputError(f"`settings` is a {type(settings).__name__}: give `ww.AuditSettings(...)`")
    measured = measure(records, alpha, settings or AuditSettings())
    tests: list[Test] = []
    untested: list[Untested] = []
    comparison = None
    if theory is not None and THEORY in chosen:
        comparison = compare_with(theory, measured, alpha / 2, progress)
        if isinstance(comparison, Untested):
            untested.append(comparison)
            comparison = None
    elif claims is not None and THEORY in chosen:
        untested.append(Untested(claim=THEORY, why="there is no theory: `widthwise theory` writes theory.nc"))
    own = [name for name in chosen if name != THEORY]
    progress.start("auditing", len(own))
    for name in own:
        try:
            found = CLAIMS[name](measured)
            if not isinstance(found, Untested):
                found += _described(name, measured)
        except NothingToCompare as reason:
            found = Untested(claim=name, why=str(reason))
        progress.advance()
        if isinstance(found, Untested):
            untested.append(found)
        else:
            tests += found
    rows = judge(tests, alpha if comparison is None else alpha / 2)
    if comparison is not None:
        rows = sort_rows((*rows, *theory_rows(comparison)))
    reference = theory if comparison is not None else None
    found = _evidence(measured)
    if comparison is not None:
        found["theory_alpha"] = comparison.alpha
    summary, ensembles = summarize(measured, rows, reference), measure_ensembles(measured)
    known = None if isinstance(ensembles, Untested) else ensembles
    return Audit(rows, tuple(untested), found, summary, comparison, known)


def _described(name: str, measured: EnsembleView) -> list[Test]:
    """What is told beside a claim's tests; nothing where there is nothing to tell."""
    found: list[Test] = []
    for describe in DESCRIPTIONS.get(name, ()):
        with contextlib.suppress(NothingToCompare):
            found += describe(measured)
    return found


def _chosen(claims: Sequence[str] | None) -> list[str]:
    known = [*CLAIMS, THEORY]
    if claims is None:
        return known
    if not isinstance(claims, Sequence):
        raise InputError(f"`claims` is a {type(claims).__name__}: give names of {', '.join(known)}")
    names = [claims] if isinstance(claims, str) else list(claims)
    for name in names:
        if name not in known:
            raise InputError(f"`claims` has {name!r}: choose from {', '.join(known)}")
    if not names:
        raise InputError(f"`claims` is empty: choose from {', '.join(known)}")
    return list(dict.fromkeys(names))


def _evidence(measured: EnsembleView) -> dict[str, object]:
    made = evidence()
    return {
        "widths": list(measured.widths),
        "seeds": int(measured.trained.sum(axis=1).max()),
        "seeds_by_width": [int(count) for count in measured.trained.sum(axis=1)],
        "diverged_by_width": [int(count) for count in measured.diverged.sum(axis=1)],
        "steps": int(measured.steps[-1]),
        "recorded_steps": len(measured.steps),
        "alpha": measured.alpha,
        "left_out": list(measured.notes),
        "commit": made["commit"],
        "versions": made["versions"],
    }
