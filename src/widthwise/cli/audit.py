"""The command `audit`: from paths to records, an audit, its files, and an exit status."""

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import xarray as xr

from widthwise.adapters import open_runs
from widthwise.audit import AuditSettings, audit
from widthwise.cli.run_folder import folder_of, refuse_file
from widthwise.cli.streams import is_url
from widthwise.cli.summary import on_terminal
from widthwise.errors import InputError
from widthwise.progress import Progress
from widthwise.records.read import damage_reported, open_records, read_attributes
from widthwise.records.schema import SWEEP
from widthwise.report import write_report
from widthwise.report.atomic import write_bytes
from widthwise.report.audit import Audited, Sources, audit_text, junit_xml, write_verdict
from widthwise.report.audit.text import WIDTH
from widthwise.report.audit.verdict_file import known_verdict
from widthwise.report.gather import trained_networks
from widthwise.report.inputs import read_theory_file
from widthwise.study.stored import known_study, read_json

ANY_VERDICT = re.compile(r"\b(?:in)?consistent\b|\bunderpowered\b", re.IGNORECASE)
CODES = {"consistent": "\x1b[32m", "inconsistent": "\x1b[31m", "underpowered": "\x1b[33m"}
PLAIN = "\x1b[0m"
STATUS = {"consistent": 0, "inconsistent": 1, "underpowered": 3}
RECORDS, THEORY = "records.zarr", "theory.nc"
DEFAULT_OUT = Path("audit")


@dataclass(frozen=True)
class Question:
    """What to audit, and how; `claims`, all if None; `columns` of logs, by role."""

    paths: tuple[str, ...]
    alpha: float = 0.05
    claims: tuple[str, ...] | None = None
    settings: AuditSettings = field(default_factory=AuditSettings)
    columns: str | None = None

    @property
    def run_directory(self) -> Path | None:
        """The one run directory that is asked about, if it is one."""
        only = Path(self.paths[0])
        return only if len(self.paths) == 1 and _is_run(self.paths[0]) else None


def claims_of(text: str | None) -> tuple[str, ...] | None:
    """Names of claims as `--claims` gives them.

    >>> claims_of("scales, predictions"), claims_of(None)
    (('scales', 'predictions'), None)
    """
    return None if text is None else tuple(name.strip() for name in text.split(",") if name.strip())


def place_of(question: Question, out: str | None, otherwise: Path = DEFAULT_OUT) -> Path:
    """The folder that results go to; made if it is not there.

    **Errors:** `InputError` for a URL, a file or nothing.
    """
    audited = _local_folder(question.paths[0]) if len(question.paths) == 1 else None
    directory = folder_of(out, audited or otherwise)
    if is_url(str(directory)):
        raise InputError(f"{directory}: verdict and report go to a folder; give one with --out")
    refuse_file(directory)
    return directory


def open_audited(question: Question) -> tuple[xr.Dataset, xr.Dataset | None]:
    """Records, lazily, and the theory of a run directory if it has one.

    **Errors:** `InputError` for paths that are no records, or of different experiments.
    """
    directory = question.run_directory
    trained = directory is not None and known_study(read_attributes(directory / RECORDS)) is not None
    places = [records_at(path) for path in question.paths]
    # What `widthwise train` wrote is read in blocks, not network by network.
    records = open_records(places[0]) if trained else open_runs(places, question.columns)
    if directory is None or not (directory / THEORY).exists():
        return records, None
    return records, read_theory_file(directory / THEORY)


def run_audit(question: Question, directory: Path, junit: Path | None, progress: Progress) -> Audited:
    """Audit, and write verdict.json, report.html and, at `junit`, JUnit XML.

    **Errors:** `InputError` for what cannot be audited or written.
    """
    if junit is not None and junit.is_dir():
        raise InputError(f"--junit {junit}: is a folder; give a file, such as audit.xml")
    with damage_reported(Path(question.paths[0])):
        audited = audit_records(question, *open_audited(question), progress)
    directory.mkdir(parents=True, exist_ok=True)
    _say_what_goes(directory, question, progress)
    write_verdict(audited, directory)
    if junit is not None:
        junit.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(junit, junit_xml(audited.audit))
    # Only of a run directory are these the page's own files.
    shared = directory == question.run_directory
    write_report(directory, audited=audited if shared else None, progress=progress)
    return audited


def audit_records(
    question: Question, records: xr.Dataset, theory: xr.Dataset | None, progress: Progress
) -> Audited:
    """The audit of a question's records, with what was audited."""
    found = audit(
        records,
        theory,
        alpha=question.alpha,
        claims=question.claims,
        settings=question.settings,
        progress=progress,
    )
    return Audited(found, Sources(question.paths, _notes(records), trained_networks(records)))


def _say_what_goes(directory: Path, question: Question, progress: Progress) -> None:
    """Name the records whose audit is replaced, if they are others."""
    before = known_verdict(directory)
    if before is not None and before.sources.paths and before.sources.paths != question.paths:
        progress.say(
            f"replaces the audit of {', '.join(before.sources.paths)} in {directory}; --out keeps both"
        )


def render_table(audited: Audited) -> str:
    """What the terminal shows of an audit: its rows, and the verdict in words."""
    width = shutil.get_terminal_size().columns if on_terminal() else WIDTH
    text = audit_text(audited.audit, width=max(width, 60), notes=audited.sources.notes)
    if on_terminal():
        text = ANY_VERDICT.sub(lambda found: f"{CODES[found[0].lower()]}{found[0]}{PLAIN}", text)
    return text


def render(audited: Audited, directory: Path) -> str:
    """The table, and where the files are."""
    files = f"verdict: {directory / 'verdict.json'}\nreport: {directory / 'report.html'}"
    return f"{render_table(audited)}\n\n{files}"


def _local_folder(path: str) -> Path | None:
    """A folder on a disk that is not itself a store; None else."""
    if not path.strip() or "\0" in path or is_url(path):
        return None
    return Path(path) if Path(path).is_dir() and not (Path(path) / "zarr.json").exists() else None


def _is_run(path: str) -> bool:
    """A folder with records in it."""
    folder = _local_folder(path)
    return folder is not None and (folder / RECORDS).is_dir()


def records_at(path: str) -> str | Path:
    """Where the records are that a path on the command line means.

    **Errors:** `InputError` for no path, and for a sweep.
    """
    if not path.strip() or "\0" in path:
        raise InputError(f"{path!r}: is no path; give a run's folder, a records.zarr, or a CSV of losses")
    if is_url(path):
        return path
    if (Path(path) / SWEEP).is_file():
        raise InputError(
            f"{path}: holds a sweep, whose values are runs of their own: audit one of its folders"
        )
    return Path(path) / RECORDS if _is_run(path) else Path(path)


def _notes(records: xr.Dataset) -> tuple[str, ...]:
    """What was left out when runs were put together."""
    try:
        found = read_json(str(records.attrs.get("notes", "[]")))
    except ValueError:
        return ()
    return tuple(str(note) for note in found) if isinstance(found, Sequence) else ()
