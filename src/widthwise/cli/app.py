"""The commands: each reads its arguments, calls the rooms in order, and says where the results are.

Everything heavy is imported inside the commands, so that `--help` answers at once.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from widthwise.cli import forecast_command
from widthwise.cli.guard import guarded
from widthwise.cli.options import LogColumns, Quiet
from widthwise.cli.options import option as _option
from widthwise.cli.options import tell as _tell
from widthwise.cli.progress_bar import open_progress
from widthwise.cli.streams import write_line
from widthwise.errors import InputError

if TYPE_CHECKING:
    from widthwise.study import Study


StudyFile = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.", show_default=False)]
Out = Annotated[str | None, _option("Where results go; runs/<study name> if not given.", "DIR", "--out")]
URL = "Where records go, a folder or a URL such as s3://bucket/run; runs/<study name> if not given."
OutOrUrl = Annotated[str | None, _option(URL, "DIR", "--out")]
Overrides = Annotated[
    list[str] | None, _option("Override a key of the study; may be repeated.", "TABLE.KEY=VALUE", "--set")
]
Tolerance = Annotated[
    float,
    typer.Option(
        metavar="SHARE",
        help="How small effects of finite width should be, where the report says from which width they are.",
    ),
]

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
    from widthwise.cli.compiled import keep_compiled

    keep_compiled()
    app(prog_name="widthwise")


def _print_version(wanted: bool) -> bool:
    if wanted:
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
def run(
    study_file: StudyFile,
    out: Out = None,
    overrides: Overrides = None,
    tolerance: Tolerance = 0.01,
    quiet: Quiet = False,
) -> None:
    """Theory, training, audit and report of a study, in order; resumes where it stopped.

    Studies that theory does not treat (such as transformers) are trained and audited. The verdict is that of
    `widthwise audit DIR`; the exit status is 0 whatever it says.
    """
    with guarded() as guard:
        with open_progress(quiet) as progress:
            study = _study(study_file, overrides)
            from widthwise.analysis import check_tolerance
            from widthwise.cli import stages

            check_tolerance(tolerance)
            with stages.open_run(study, out) as current:
                guard.directory = current.directory
                stages.must_write_study(current, study_file)
                theory = None
                if current.points is not None:
                    theory = stages.theory_stage(current, progress, reuse=True)
                stages.write_study(current, study_file)
                records = stages.train_stage(current, progress)
                table, page = stages.audit_stage(
                    current, theory, records, tolerance=tolerance, progress=progress
                )
        _tell(f"{table}\nreport: {page}", quiet)


@app.command(epilog="Example: widthwise theory examples/digits.toml --set network.richness=2.0 --width 1000")
def theory(
    study_file: StudyFile,
    out: Out = None,
    overrides: Overrides = None,
    width: Annotated[
        list[int] | None,
        _option(
            "A width to show beside infinite width; may be repeated. The study's widths if not given.", "N"
        ),
    ] = None,
    tolerance: Tolerance = 0.01,
    quiet: Quiet = False,
) -> None:
    """Infinite width and order 1/N of a study, in numbers; writes DIR/theory.nc and DIR/report.html."""
    with guarded() as guard:
        with open_progress(quiet) as progress:
            study = _study(study_file, overrides)
            from widthwise.analysis import check_tolerance
            from widthwise.cli import stages

            check_tolerance(tolerance)
            widths = stages.chosen_widths(study, width or [])
            with stages.open_run(study, out) as current:
                guard.directory = current.directory
                solved = stages.theory_stage(current, progress, reuse=False)
                page = stages.write_report(
                    current.directory, widths=widths, tolerance=tolerance, progress=progress
                )
        if not quiet:
            summary = stages.theory_summary(solved, widths, tolerance, all_widths=bool(width))
            write_line(f"{summary}\n\ntheory: {current.theory_path}\nreport: {page}")


@app.command(
    epilog="Example: widthwise train examples/digits.toml --set 'ensemble.widths=[64,128]'; and meanwhile, "
    "from elsewhere: widthwise train examples/digits.toml --set 'ensemble.widths=[64,128]' --status"
)
def train(
    study_file: StudyFile,
    out: OutOrUrl = None,
    overrides: Overrides = None,
    status: Annotated[
        bool, typer.Option("--status", help="Say which cells are trained, and how long the rest takes.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --status: as JSON.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train the ensemble of a study; writes DIR/records.zarr; resumes, and trains no network twice."""
    with guarded() as guard:
        study = _study(study_file, overrides)
        if as_json and not status:
            raise InputError("`--json`: goes with --status")
        from widthwise.cli.run_folder import place_of, records_in

        place = place_of(study, out)
        records = records_in(place)
        if status:
            from widthwise.cli.run_status import render_status
            from widthwise.records.status import run_status

            found = run_status(study, records)
            write_line(json.dumps(found.as_dict(), indent=1) if as_json else render_status(found))
            return
        guard.directory = place
        with open_progress(quiet) as progress:
            from widthwise.cli.run_folder import train_alone

            train_alone(study, place, progress)
        _tell(f"records: {records}", quiet)


@app.command(
    epilog="Example: widthwise sweep examples/pydoc_transformer.toml training.learning_rate=0.002,0.004,0.008"
)
def sweep(
    study_file: StudyFile,
    values: Annotated[
        str,
        typer.Argument(
            metavar="TABLE.KEY=V1,V2,...",
            help=r"A setting of \[network] or \[training], and three or more positive values.",
            show_default=False,
        ),
    ],
    out: Out = None,
    overrides: Overrides = None,
    quiet: Quiet = False,
) -> None:
    """Train the study at several values of one setting: which is best, and does it move with width?

    Each value keeps its own records below DIR; the last losses are written to DIR/sweep.nc.
    """
    with guarded() as guard:
        study = _study(study_file, overrides)
        from widthwise.cli.run_folder import folder_of
        from widthwise.cli.sweep import run_sweep

        directory = folder_of(out, Path("runs") / study.name)
        guard.directory = directory
        with open_progress(quiet) as progress:
            table = run_sweep(study, values, directory, progress)
        _tell(f"{table}\nsweep: {directory / 'sweep.nc'}", quiet)


@app.command(
    epilog="Examples: widthwise audit runs/digits | widthwise audit runs/mine --junit audit.xml | "
    "widthwise audit losses.csv --claims loss_curves,onset | "
    "widthwise audit a.zarr b.zarr --out audits/ab --set audit.allowed_gap=0.02"
)
def audit(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...",
            help="A run's folder, records.zarr stores or their URLs, folders of recorded runs, a CSV of "
            "losses; several are one experiment.",
            show_default=False,
        ),
    ],
    out: Annotated[
        str | None,
        _option(
            "Where verdict.json and report.html go; the folder audited, or audit/, if not given.",
            "DIR",
            "--out",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print verdict.json in place of the table.")
    ] = False,
    claims: Annotated[str | None, _option("Test only these claims; see docs/audit.md.", "A,B")] = None,
    alpha: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Chance that correct networks are called inconsistent."),
    ] = 0.05,
    junit: Annotated[Path | None, _option("Write the verdicts as JUnit XML too.", "FILE")] = None,
    settings: Annotated[Path | None, _option(r"TOML with thresholds in a table \[audit].", "FILE")] = None,
    overrides: Annotated[
        list[str] | None, _option("Set a threshold; may be repeated.", "audit.KEY=VALUE", "--set")
    ] = None,
    limit: Annotated[
        str | None, _option("The infinite width that is meant, by default mup.", "mup|ntk|standard")
    ] = None,
    columns: LogColumns = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Wait for every claim, not the core ones.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Do networks of several widths, from any training code, behave as one model?

    Writes DIR/verdict.json and DIR/report.html. Exit status: 0 no claim is inconsistent and all core claims
    (set-up of training, scales, attention at initialization, richness) are consistent; 1 one is inconsistent;
    3 none is, but a core claim lacks data; 2 a wrong call or a bad input.
    """
    with guarded() as guard:
        from widthwise.cli import audit as auditing
        from widthwise.cli.audit_options import read_settings

        given = ({} if limit is None else {"limit": limit}) | ({"strict": True} if strict else {})
        chosen = read_settings(settings, overrides or [], given)
        question = auditing.Question(tuple(paths), alpha, auditing.claims_of(claims), chosen, columns)
        directory = auditing.place_of(question, out)
        guard.directory = directory
        with open_progress(quiet) as progress:
            audited = auditing.run_audit(question, directory, junit, progress)
        if as_json:
            write_line(audited.text().rstrip("\n"))
        else:
            _tell(auditing.render(audited, directory), quiet)
    raise typer.Exit(auditing.STATUS[audited.audit.verdict])


app.command(epilog=forecast_command.EPILOG)(forecast_command.forecast)


@app.command(
    epilog="Examples: widthwise check examples/check_transformer.py | widthwise check FILE.py --suggest | "
    "widthwise check FILE.py --widths 32,64,128,256 --seeds 6 --out check/mine --json"
)
def check(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.py",
            help="Defines make(width), batches and loss; perhaps optimizer, scheduler, clip, probes, widths.",
            show_default=False,
        ),
    ],
    out: Annotated[str | None, _option("Where everything goes; check/ if not given.", "DIR", "--out")] = None,
    widths: Annotated[str | None, _option("By default 64,128,256,512.", "N1,N2,...")] = None,
    seeds: Annotated[int | None, _option("Copies of each width, by default 4.", "COUNT")] = None,
    steps: Annotated[int | None, _option("Updates of each copy, by default 10.", "COUNT")] = None,
    suggest: Annotated[
        bool, typer.Option("--suggest", help="Search for the change that makes it consistent.")
    ] = False,
    limit: Annotated[
        str | None, _option("The infinite width that is meant, by default mup.", "mup|ntk|standard")
    ] = None,
    device: Annotated[str | None, _option("By default an accelerator, if there is one.", "NAME")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print verdict.json in place of the table.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Is my PyTorch model scaled rightly with width? Trains small copies of it, audits them, names the cause.

    Writes records, verdict.json and report.html into DIR; interrupted, the same command goes on. Exit status:
    0 consistent; 1 inconsistent; 3 too little data; 2 a wrong call, a bad input, or an error in FILE.py.
    """
    with guarded() as guard:
        from widthwise.cli import check as checking
        from widthwise.cli.audit import STATUS

        directory = checking.place_of(out)
        guard.directory = directory
        given = {
            "widths": checking.whole_numbers(widths, "--widths"),
            "seeds": seeds,
            "steps": steps,
            "suggest": suggest or None,
            "limit": limit,
            "device": device,
        }
        with open_progress(quiet) as progress:
            found = checking.run_check(file, given, directory, progress)
        if as_json:
            write_line((directory / "verdict.json").read_text(encoding="utf-8").rstrip("\n"))
        else:
            _tell(checking.render(found, directory), quiet)
    raise typer.Exit(STATUS[found.verdict])


@app.command(epilog="Example: widthwise report runs/digits")
def report(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A run's folder.", show_default=False)],
    tolerance: Tolerance = 0.01,
    quiet: Quiet = False,
) -> None:
    """Rebuild DIR/report.html from the files in DIR."""
    with guarded() as guard:
        guard.directory = directory
        with open_progress(quiet) as progress:
            from widthwise.report import write_report

            page = write_report(directory, tolerance=tolerance, progress=progress)
        _tell(f"report: {page}", quiet)


def _study(study_file: Path, overrides: list[str] | None) -> "Study":
    """The study, or its first fault, before JAX takes a second to load."""
    from widthwise.study import load_study

    return load_study(study_file, overrides or [])
