"""The audit: `audit` is where a reader begins."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import xarray as xr

from widthwise.analysis.compare import Comparison
from widthwise.analysis.verdict import OWN, ClaimRow, Test, Untested, Verdict, judge, overall
from widthwise.audit.against_theory import CLAIM as THEORY
from widthwise.audit.against_theory import theory_rows, theory_tests
from widthwise.audit.audit_settings import AuditSettings
from widthwise.audit.claims import CLAIMS
from widthwise.audit.coordinate_check import CoordinateCheck, coordinate_check
from widthwise.audit.ensemble_curves import EnsembleCurves, ensemble_curves
from widthwise.audit.ensemble_view import EnsembleView, NothingToCompare, measure
from widthwise.audit.gap_series import Gaps, measure_gaps
from widthwise.audit.sentences import summarize
from widthwise.errors import InputError
from widthwise.progress import SILENT, Progress
from widthwise.records.evidence import made_with
from widthwise.wording import percent

SCHEMA = 1
LEAST_COVERED = 0.5  # of the longest training: less is too little for a verdict on it


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    **Fields:** `rows`, worst first; `untested`, what the records do not allow; `evidence`, widths, seeds,
    steps, alpha, versions; `summary`, sentences for a practitioner; `gaps` between widths at each step, and
    `ensembles`, losses of ensembles at every width, where the records allow; `comparison`, measured against
    predicted, where there was a theory of the same study (no file keeps its numbers); `coordinates`, sizes of
    layers and effects of updates against width; of `ww.torch.check` also `page`, where its report is, and
    `suggestion`, the change that it found, as code.
    """

    rows: tuple[ClaimRow, ...]
    untested: tuple[Untested, ...]
    evidence: dict[str, object]
    summary: tuple[str, ...]
    gaps: Gaps | None = field(default=None, compare=False, repr=False)
    ensembles: EnsembleCurves | None = field(default=None, compare=False, repr=False)
    comparison: Comparison | None = field(default=None, compare=False)
    coordinates: CoordinateCheck | None = field(default=None, compare=False, repr=False)
    page: Path | None = field(default=None, compare=False)
    suggestion: str = field(default="", compare=False)

    @property
    def verdict(self) -> Verdict:
        """Inconsistent if any row is, else underpowered if any is or none judges, else consistent."""
        return overall(self.rows)

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

    Every claim's tests forgive what finite width may do, and all are judged together by Holm's method, those
    of theory with the others: a correct ensemble is called inconsistent with probability at most `alpha`.

    **Arguments:** `records` of any training code, lazy or not; `theory`, as theory.nc: then measured against
    predicted too, unless it is of another study, which is said; `claims`, names of those to test, "theory"
    among them, all if None.
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
    own = [name for name in chosen if name != THEORY]
    progress.start("auditing", len(own))
    for name in own:
        try:
            found = CLAIMS[name].tests(measured)
            if not isinstance(found, Untested):
                found += _described(name, measured)
        except NothingToCompare as reason:
            found = Untested(claim=name, why=str(reason))
        progress.advance()
        if isinstance(found, Untested):
            untested.append(found)
        else:
            tests += found
    numbers = None
    if theory is not None and THEORY in chosen:
        compared = theory_tests(theory, measured, sum(t.p_value is not None for t in tests), progress)
        if isinstance(compared, Untested):
            untested.append(compared)
        else:
            numbers, more = compared
            tests += more
    elif claims is not None and THEORY in chosen:
        untested.append(Untested(claim=THEORY, why="there is no theory: `widthwise theory` writes theory.nc"))
    rows = judge([*_with_core(tests, measured.settings.strict), *_uncovered(records, measured)], alpha)
    reference = None if numbers is None else theory
    return Audit(
        rows,
        tuple(untested),
        _evidence(measured),
        summarize(measured, rows, reference),
        gaps=measure_gaps(measured, progress),
        ensembles=ensemble_curves(measured),
        comparison=None if numbers is None else Comparison(numbers, theory_rows(rows), alpha),
        coordinates=coordinate_check(measured),
    )


def _with_core(tests: list[Test], strict: bool) -> list[Test]:
    """Each test with whether the verdict waits for it; where none of a core claim's was possible, for all."""
    core = {name for name, claim in CLAIMS.items() if claim.core}
    # Of attention only its scale at initialization: later, it compares functions.
    found = {id(t) for t in tests if t.claim in core and (t.claim != "attention" or t.depth == OWN)}
    if strict or not any(id(test) in found and test.p_value is not None for test in tests):
        return tests
    return [replace(test, core=test.core and id(test) in found) for test in tests]


def _uncovered(records: xr.Dataset, measured: EnsembleView) -> list[Test]:
    """A core test without data where the runs share less than half of the training of the longest."""
    share = records.attrs.get("covered_share", 1.0)
    if not isinstance(share, float) or share >= LEAST_COVERED:
        return []
    step = int(measured.steps[-1])
    words = (
        f"The runs share steps until {step} only, {percent(share, 2)} of the longest run: nothing is known "
        "of the rest; log all widths as far."
    )
    return [Test(claim="training_covered", where={"step": step}, estimate=share, weak=words)]


def _described(name: str, measured: EnsembleView) -> list[Test]:
    """What is told beside a claim's tests; nothing where there is nothing to tell."""
    found: list[Test] = []
    for describe in CLAIMS[name].descriptions:
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
    return {
        "widths": list(measured.widths),
        "seeds": int(measured.trained.sum(axis=1).max()),
        "seeds_by_width": [int(count) for count in measured.trained.sum(axis=1)],
        "diverged_by_width": [int(count) for count in measured.diverged.sum(axis=1)],
        "steps": int(measured.steps[-1]),
        "recorded_steps": len(measured.steps),
        "alpha": measured.alpha,
        "left_out": list(measured.notes),
        **made_with(),
    }
