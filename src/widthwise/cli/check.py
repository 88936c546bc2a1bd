"""The command `check`: from a user's file to small copies, an audit, its files, and an exit status."""

import contextlib
import json
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from widthwise.audit import Audit
from widthwise.audit.sentences import CAUSE, DIVERGED
from widthwise.cli.audit import render as render_audit
from widthwise.cli.audit_options import read_settings
from widthwise.cli.run_folder import folder_of, refuse_file
from widthwise.errors import InputError
from widthwise.progress import Progress
from widthwise.report.audit import Audited
from widthwise.report.words import conclude
from widthwise.torch.check_file import defined_in, digest_of
from widthwise.torch.run_check import check

DEFAULT_OUT = Path("check")


def place_of(out: str | None) -> Path:
    """The folder of a check.

    **Errors:** `InputError` for a file.
    """
    directory = folder_of(out, DEFAULT_OUT)
    refuse_file(directory)
    return directory


def whole_numbers(text: str | None, option: str) -> tuple[int, ...] | None:
    """Numbers as an option gives them.

    >>> whole_numbers("64,128, 256", "--widths")
    (64, 128, 256)
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"{option} {text}: give whole numbers, such as 64,128,256,512") from None


def run_check(file: Path, given: Mapping[str, Any], directory: Path, progress: Progress) -> Audit:
    """Check what a file defines; what is `given` on the command line, and is not None, wins.

    An interrupted check goes on if neither the file nor what is given has changed. What the file prints goes
    to standard error.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    if "limit" in chosen:
        read_settings(None, given={"limit": chosen["limit"]})  # or it says what is wrong
    with contextlib.redirect_stdout(sys.stderr), defined_in(file) as defined:
        resume = json.dumps([digest_of(file), {name: repr(value) for name, value in chosen.items()}])
        return check(**{**defined, **chosen}, out=directory, resume=resume, progress=progress)


def render(found: Audit, directory: Path) -> str:
    """Verdict, cause and remedy first; then the rows, and where the files are."""
    said = conclude(found.rows, found.evidence.get("alpha"), found.summary).answer
    if found.verdict == "inconsistent":
        said = "\n".join(found.summary[: 2 if found.suggestion else 1]).removeprefix(CAUSE).lstrip()
    elif diverged := [sentence for sentence in found.summary if sentence.startswith(DIVERGED)]:
        said = f"{diverged[0]} Lower the learning rate, or find what makes their loss infinite. {said}"
    parts = [f"{found.verdict.upper()}: {said}"]
    parts += [textwrap.indent(found.suggestion, "    ")] if found.suggestion else []
    return "\n\n".join([*parts, render_audit(Audited(found), directory)])
