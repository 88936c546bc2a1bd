"""The commands: each reads its arguments, calls the rooms in order, and says where the results are.

Everything heavy is imported inside the commands, so that `--help` answers at once.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from widthwise.cli.guard import guarded
from widthwise.cli.progress import open_progress
from widthwise.cli.streams import write_line

if TYPE_CHECKING:
    from widthwise.study import Study

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.", show_default=False)]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", metavar="DIR", help="Where results go; runs/<study name> if not given.", show_default=False
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="TABLE.KEY=VALUE",
        help="Override a key of the study; may be repeated.",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]

app = typer.Typer(
    name="widthwise",
    help="How neural networks depend on their width: theory beside trained networks, on your data.",
    epilog="Example: widthwise run examples/digits.toml",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The console command `widthwise`."""
    app(prog_name="widthwise")


def _print_version(wanted: bool) -> bool:
    if wanted:
        from importlib.metadata import version

        write_line(f"widthwise {version('widthwise')}")
        raise typer.Exit()
    return wanted


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: widthwise run examples/digits.toml --out runs/mine --set training.steps=50")
def run(study_file: StudyFile, out: Out = None, overrides: Overrides = None, quiet: Quiet = False) -> None:
    """Theory, training, comparison and report of a study, in order; resumes where it stopped."""
    with guarded() as guard:
        with open_progress(quiet) as progress:
            study = _study(study_file, overrides)
            from widthwise.cli import stages

            current = stages.open_run(study, out)
            guard.directory = current.directory
            stages.write_study(current, study_file)
            theory = stages.theory_stage(current, progress, reuse=True)
            records = stages.train_stage(current, progress)
            table, page = stages.report_stage(current, theory, records, progress)
        _tell(f"{table}\nreport: {page}", quiet)


@app.command(epilog="Example: widthwise theory examples/digits.toml --set network.richness=2.0")
def theory(study_file: StudyFile, out: Out = None, overrides: Overrides = None, quiet: Quiet = False) -> None:
    """Infinite width and order 1/N of a study; writes DIR/theory.nc."""
    with guarded() as guard:
        with open_progress(quiet) as progress:
            study = _study(study_file, overrides)
            from widthwise.cli import stages

            current = stages.open_run(study, out)
            guard.directory = current.directory
            stages.theory_stage(current, progress, reuse=False)
        _tell(f"theory: {current.theory_path}", quiet)


@app.command(epilog="Example: widthwise train examples/digits.toml --set ensemble.widths=[64,128]")
def train(study_file: StudyFile, out: Out = None, overrides: Overrides = None, quiet: Quiet = False) -> None:
    """Train the ensemble of a study; writes DIR/records.zarr; resumes, and trains no network twice."""
    with guarded() as guard:
        with open_progress(quiet) as progress:
            study = _study(study_file, overrides)
            from widthwise.cli import stages

            current = stages.open_run(study, out)
            guard.directory = current.directory
            stages.train_stage(current, progress)
        _tell(f"records: {current.records_path}", quiet)


@app.command(epilog="Example: widthwise report runs/digits")
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run's folder.", show_default=False)],
    quiet: Quiet = False,
) -> None:
    """Rebuild DIR/report.html from the files in DIR."""
    with guarded() as guard:
        guard.directory = directory
        with open_progress(quiet) as progress:
            from widthwise.report import write_report

            page = write_report(directory, progress=progress)
        _tell(f"report: {page}", quiet)


def _study(study_file: Path, overrides: list[str] | None) -> "Study":
    """The study, or its first fault, before JAX takes a second to load."""
    from widthwise.study import load_study

    return load_study(study_file, overrides or [])


def _tell(text: str, quiet: bool) -> None:
    if not quiet:
        write_line(text)
