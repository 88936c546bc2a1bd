"""Everything the page is made from, gathered once."""

from dataclasses import dataclass, replace

import numpy as np
import xarray as xr

from widthwise.analysis import Comparison, check_tolerance, compare, summarize_ensemble
from widthwise.analysis.same_study import OtherStudy, nothing_in_common
from widthwise.analysis.wide_enough import TOLERANCE
from widthwise.audit.against_theory import theory_rows
from widthwise.errors import InputError
from widthwise.progress import SILENT, Progress
from widthwise.report.audit.verdict_file import Audited
from widthwise.report.inputs import RunFiles
from widthwise.study import Study
from widthwise.study.stored import study_of

ALPHA = 0.05


@dataclass(frozen=True)
class Gathered:
    """A run, read and measured.

    **Fields:** `numbers`, the comparison's or, without a theory, the ensemble's alone; None without records.
    `study`, None where no file says it; `notes`, what the reader must know about missing or unusable parts;
    `tolerance`, how small effects of finite width should be; `audited`, the audit, where one was made;
    `shown`, further widths that theory is shown at; `unsolved`, whether theory treats the
    study and was not solved; `forecast`, of widths not trained, where one was made.
    """

    name: str
    theory: xr.Dataset | None
    records: xr.Dataset | None
    numbers: xr.Dataset | None
    comparison: Comparison | None
    study: Study | None
    notes: tuple[str, ...]
    tolerance: float = TOLERANCE
    audited: Audited | None = None
    shown: tuple[int, ...] = ()
    unsolved: bool = False
    forecast: xr.Dataset | None = None

    @property
    def widths(self) -> list[int]:
        """Widths with at least one usable seed, ascending."""
        if self.numbers is None:
            return []
        seeds = self.numbers["seeds"].to_numpy()
        return sorted(int(w) for w, s in zip(self.numbers["width"].to_numpy(), seeds, strict=True) if s > 0)

    @property
    def shown_widths(self) -> list[int]:
        """The networks' widths, then others that were asked for; without either those that the study would
        train."""
        asked = [w for w in sorted(set(self.shown)) if w not in self.widths]
        return [*self.widths, *asked] or sorted(self.study.ensemble.widths if self.study is not None else ())

    def at_width(self, name: str, width: int) -> np.ndarray | None:
        """One width of a variable of `numbers`; None if it was not measured."""
        if self.numbers is None or name not in self.numbers:
            return None
        values = self.numbers[name].sel(width=width).to_numpy()
        return values if np.isfinite(values).any() else None

    def theory_values(self, name: str) -> np.ndarray | None:
        """A variable of theory; None if it was not computed."""
        if self.theory is None or name not in self.theory:
            return None
        return self.theory[name].to_numpy().astype(np.float64)


def gather(
    files: RunFiles,
    *,
    tolerance: float = TOLERANCE,
    shown: tuple[int, ...] = (),
    progress: Progress = SILENT,
) -> Gathered:
    """What the page shows of the run; where theory and records cannot be compared, say so in the notes and
    show both, but a theory of another study is left aside.

    What an audit has measured is taken from it; of a file, which keeps verdicts alone, numbers are measured
    again.
    """
    check_tolerance(tolerance)
    notes: list[str] = list(files.notes)
    records, audited, comparison, numbers = files.records, files.audited, None, None
    unsolved = files.theory is None and files.treated
    if records is not None:
        try:
            comparison = _compared(files, progress)
        except OtherStudy as error:
            notes.append(f"theory.nc is left aside: {error}.")
            files = replace(files, theory=None)
        except InputError as error:
            notes.append(f"Theory and networks are shown, but could not be compared: {error}")
        if comparison is not None:
            numbers = comparison.numbers
        else:
            try:
                numbers = summarize_ensemble(records, progress=progress)
            except InputError as error:
                if audited is None:
                    raise
                # An audit asks less of records than curves do.
                notes.append(f"The networks' curves are not shown: {error}.")
            else:
                large = ", ".join(f"`{name}`" for name in numbers.attrs["left_out"])
                notes += [f"Curves of {large} are not shown: the records are too large."] if large else []
        notes += _missing_networks(records)
        then = None if audited is None else audited.sources.networks
        if None not in (then, now := trained_networks(records)) and then != now:
            notes.append(
                "The audit is of fewer or other networks than the records now hold: give `widthwise audit "
                f"{files.directory}` again."
            )
    elif audited is None and files.forecast is None:
        notes.append("No networks were trained yet: `widthwise train` adds them to this report.")
    if unsolved and audited is None:
        notes.append("Theory was not solved yet: `widthwise theory` adds it.")
    study = _study(files, notes)
    name = files.directory.resolve().name if study is None else study.name
    return Gathered(
        name,
        files.theory,
        files.records,
        numbers,
        comparison,
        study,
        tuple(notes),
        tolerance,
        audited,
        shown,
        unsolved,
        files.forecast,
    )


def _study(files: RunFiles, notes: list[str]) -> Study | None:
    """That of theory, or else of the records; what cannot be read is said in the notes."""
    for data, name in ((files.theory, "theory.nc"), (files.records, "records")):
        try:
            if data is not None and (study := study_of(data.attrs, name)) is not None:
                return study
        except InputError as error:
            notes.append(f"{error}.")
    return None


def _compared(files: RunFiles, progress: Progress) -> Comparison | None:
    """The audit's own comparison; else its verdicts with numbers measured again at its alpha, so that the
    page is the one the audit wrote; without an audit, judged alone."""
    theory, records, audit = files.theory, files.records, files.audited and files.audited.audit
    if theory is None or records is None:
        return None
    if audit is not None and audit.comparison is not None:
        return audit.comparison
    if why := nothing_in_common(theory, records):
        raise OtherStudy(why)
    known = None if audit is None else audit.evidence.get("alpha")
    alpha = float(known) if isinstance(known, float) and 0 < known <= 0.5 else ALPHA
    found = compare(theory, records, alpha=alpha, progress=progress)
    rows = () if audit is None else theory_rows(audit.rows)
    return replace(found, verdicts=rows) if rows else found


def trained_networks(records: xr.Dataset) -> int | None:
    """How many are done; None where the records do not say."""
    return int(records["done"].to_numpy().sum()) if "done" in records else None


def _missing_networks(records: xr.Dataset) -> list[str]:
    notes = []
    if "done" in records:
        done = records["done"].to_numpy()
        if not done.all():
            notes.append(f"{int(done.sum())} of {done.size} networks are trained; the others are left out.")
    if "diverged_at" in records:
        diverged = int((records["diverged_at"].to_numpy() >= 0).sum())
        if diverged:
            notes.append(
                f"{diverged} of {records['diverged_at'].size} networks diverged and are left out of every "
                "number: lower `training.learning_rate`."
            )
    return notes
