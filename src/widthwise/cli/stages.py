"""The stages of a run, each writing its file into the run's folder. Loads JAX; imported by commands only."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from widthwise.atomic import replace_file
from widthwise.cli.audit import Question, audit_records, render_table
from widthwise.cli.kernel_squares import render_kernels
from widthwise.cli.run_folder import folder_of, made, refuse_file
from widthwise.cli.streams import is_url
from widthwise.cli.summary import on_terminal, render_losses, render_theory
from widthwise.data import Points, load_points
from widthwise.data.fixed import fixed_stream
from widthwise.errors import InputError
from widthwise.infinite_width import has_theory, require_theory, solve_infinite_width
from widthwise.observables import (
    add_richness_scan,
    has_scan_of,
    read_theory,
    solve_fluctuations,
    theory_hash,
    without_corrections,
    write_theory,
)
from widthwise.progress import Progress
from widthwise.records.layout import Layout
from widthwise.records.read import check_same_study, layout_of_store, open_records, read_attributes
from widthwise.report import write_report
from widthwise.report.audit import write_verdict
from widthwise.report.audit.verdict_file import NAME
from widthwise.report.evidence import theory_warnings
from widthwise.study import Study, dump_study
from widthwise.study.settings import LARGEST_WIDTH
from widthwise.training import train_ensemble
from widthwise.wording import unmarked

# How we know a study file as our own, which may be replaced.
HEADER = "# The study of this run, complete, as widthwise read it. Written by widthwise; do not edit.\n"


@dataclass(frozen=True)
class Run:
    """A study, the points of its theory (None where there is none), and the folder of its results."""

    study: Study
    points: Points | None
    directory: Path

    @property
    def theory_path(self) -> Path:
        """Where the theory is."""
        return self.directory / "theory.nc"

    @property
    def records_path(self) -> Path:
        """Where the records are."""
        return self.directory / "records.zarr"


@contextmanager
def open_run(study: Study, out: str | None) -> Iterator[Run]:
    """Load the points and make the run's folder, after checking that its files may be used.

    If what is done within fails before it has written anything, folders that were made go again.
    **Errors:** `InputError`, before anything is written, if the points are bad, or the folder holds
    records of another study or a newer version.
    """
    directory = folder_of(out, Path("runs") / study.name)
    if is_url(str(directory)):
        raise InputError(f"{directory}: theory and report go to a folder; only `widthwise train` takes a URL")
    refuse_file(directory)
    treated = has_theory(study)
    run = Run(study, load_points(study) if treated else None, directory)
    if run.records_path.exists():
        attributes = read_attributes(run.records_path)
        if run.points is not None:
            stream = fixed_stream(study, run.points)
            layout_of_store(run.records_path, attributes, Layout(study, stream))
        else:  # the points of a stream are seen when it trains
            check_same_study(run.records_path, attributes, study)
    with made(directory):
        yield run


def chosen_widths(study: Study, widths: Sequence[int]) -> list[int]:
    """The widths that a summary shows, ascending: those given, else those of the study.

    **Errors:** `InputError` for a width that no network can have.
    """
    for width in widths:
        if not 1 <= width <= LARGEST_WIDTH:
            raise InputError(f"`--width {width}`: give a width from 1 to {LARGEST_WIDTH:,}")
    return sorted(set(widths or study.ensemble.widths))


def must_write_study(run: Run, study_file: Path) -> bool:
    """Whether DIR/study.toml is to be written: not if that is the file that was read.

    **Errors:** `InputError` if a file of that name is there that widthwise did not write.
    """
    target = run.directory / "study.toml"
    if target.exists():
        if target.samefile(study_file):
            return False
        with target.open("rb") as file:
            if file.read(len(HEADER)) != HEADER.encode():
                raise InputError(
                    f"{target}: is in the way, and not of widthwise's making; choose another --out"
                )
    return True


def write_study(run: Run, study_file: Path) -> None:
    """Keep the study with its results as DIR/study.toml, unless that is the file that was read."""
    if not must_write_study(run, study_file):
        return
    text = HEADER + "\n" + dump_study(run.study, folder=run.directory)
    replace_file(run.directory / "study.toml", text.encode())


def theory_stage(run: Run, progress: Progress, *, reuse: bool) -> xr.Dataset:
    """The theory of the run; with `reuse`, what is in the folder if it is of this study and these points.

    **Errors:** `InputError` for a study that theory does not treat.
    """
    require_theory(run.study)
    assert run.points is not None
    wanted = theory_hash(run.study, run.points)
    if reuse and run.theory_path.exists():
        theory = read_theory(run.theory_path)
        if theory.attrs.get("theory_hash") == wanted and has_scan_of(theory, run.study):
            progress.say(f"theory was already solved: {run.theory_path}")
            return theory
        theory.close()
    if left_out := without_corrections(run.study, run.points):
        progress.say(left_out)
    limit = solve_infinite_width(run.study, points=run.points, progress=progress, throw=False)
    theory = add_richness_scan(solve_fluctuations(limit, progress=progress), limit, progress=progress)
    write_theory(theory, run.theory_path)
    return theory


def theory_summary(theory: xr.Dataset, widths: Sequence[int], tolerance: float, *, all_widths: bool) -> str:
    """The theory in numbers, and on a terminal its kernels."""
    numbers = render_theory(theory, widths, tolerance, all_widths=all_widths)
    kernels = render_kernels(theory) if on_terminal() else ""
    return (f"{numbers}\n\n{kernels}" if kernels else numbers) + _doubts(theory)


def _doubts(theory: xr.Dataset) -> str:
    """Where its numbers are not to be trusted, a line each."""
    return "".join(f"\nwarning: {unmarked(each)}" for each in theory_warnings(theory))


def train_stage(run: Run, progress: Progress) -> xr.Dataset:
    """Train what is not trained yet, and open the records: all of them, more than the study asks for too."""
    train_ensemble(run.study, run.records_path, points=run.points, progress=progress)
    return open_records(run.records_path)


def audit_stage(
    run: Run, theory: xr.Dataset | None, records: xr.Dataset, *, tolerance: float, progress: Progress
) -> tuple[str, Path]:
    """Audit the run's own folder, as `widthwise audit` does, and draw.

    **Returns:** the last losses, the audit's table and doubts on theory, as text, and the report's path.
    """
    doubts = "" if theory is None else _doubts(theory)
    try:
        question = Question((str(run.directory),))
        audited = audit_records(question, records, theory, progress)
        write_verdict(audited, run.directory)
        table = f"{render_table(audited)}{doubts}\n\nverdict: {run.directory / NAME}"
    except InputError as error:  # as when everything diverged
        audited, table = None, f"no audit: {unmarked(str(error))}{doubts}"
        (run.directory / NAME).unlink(missing_ok=True)  # of what was there before
    page = write_report(run.directory, audited=audited, tolerance=tolerance, progress=progress)
    return f"{render_losses(records)}\n\n{table}", page
