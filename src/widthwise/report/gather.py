"""Everything the page is made from, gathered once."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import xarray as xr

from widthwise.analysis import Comparison, check_tolerance, compare, summarize_ensemble
from widthwise.analysis.same_study import OtherStudy, nothing_in_common
from widthwise.analysis.wide_enough import TOLERANCE
from widthwise.errors import InputError
from widthwise.progress import SILENT, Progress
from widthwise.report.audit.verdict_file import Audited, known_verdict
from widthwise.report.inputs import RunFiles
from widthwise.study import Study
from widthwise.study.stored import study_of

ALPHA = 0.05


@dataclass(frozen=True)
class Gathered:
    """A run, read and measured.

    **Fields:** `numbers`, the comparison's or, without a theory, the ensemble's alone; None without records.
    `study`, None where no file says it; `notes`, what the reader must know about missing or unusable parts;
    `tolerance`, how small effects of finite width should be; `audited`, the audit, where one was made.
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

    @property
    def widths(self) -> list[int]:
        """Widths with at least one usable seed, ascending."""
        if self.numbers is None:
            return []
        seeds = self.numbers["seeds"].to_numpy()
        return sorted(int(w) for w, s in zip(self.numbers["width"].to_numpy(), seeds, strict=True) if s > 0)

    @property
    def shown_widths(self) -> list[int]:
        """The networks' widths; without networks those that the study would train."""
        return self.widths or sorted(self.study.ensemble.widths if self.study is not None else ())

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
    comparison: Comparison | None = None,
    tolerance: float = TOLERANCE,
    progress: Progress = SILENT,
) -> Gathered:
    """Measure the run; where theory and records cannot be compared, say so in the notes and show both,
    but a theory of another study is left aside."""
    check_tolerance(tolerance)
    notes: list[str] = list(files.notes)
    records, numbers, alone = files.records, None, files.theory is None
    if records is not None:
        if files.theory is not None and comparison is None:
            try:
                comparison = _compare(files.theory, records, files.audited, progress)
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
                if files.audited is None:
                    raise
                # An audit asks less of records than curves do.
                notes.append(f"The networks' curves are not shown: {error}.")
            else:
                large = ", ".join(f"`{name}`" for name in numbers.attrs["left_out"])
                notes += [f"Curves of {large} are not shown: the records are too large."] if large else []
        notes += _missing_networks(records)
        then = None if files.audited is None else files.audited.networks
        if None not in (then, now := trained_networks(records)) and then != now:
            notes.append(
                "The audit is of fewer or other networks than the records now hold: give `widthwise audit "
                f"{files.directory}` again."
            )
    elif files.audited is None:
        notes.append("No networks were trained yet: `widthwise train` adds them to this report.")
    if alone and files.audited is None:
        notes.append("Theory was not solved yet: `widthwise theory` adds it, for studies that it treats.")
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
        files.audited,
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


def _compare(
    theory: xr.Dataset, records: xr.Dataset, audited: Audited | None, progress: Progress
) -> Comparison:
    """At the alpha of an audit that compared with theory, so that the page is the one the audit wrote."""
    if why := nothing_in_common(theory, records):
        raise OtherStudy(why)
    return compare(theory, records, alpha=_alpha_of(audited), progress=progress)


def comparison_alpha(directory: Path) -> float:
    """At which networks are compared with theory: that of the audit in the folder, if it did too."""
    return _alpha_of(known_verdict(directory))


def _alpha_of(audited: Audited | None) -> float:
    known = None if audited is None else audited.audit.evidence.get("theory_alpha")
    return float(known) if isinstance(known, float) and 0 < known <= 0.5 else ALPHA


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
