"""The folder of a check: records that are its own, and go on where they were interrupted."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from widthwise.atomic import replace_file
from widthwise.errors import InputError

MARK = "check.txt"  # in folders whose records a check wrote, and may replace


@contextmanager
def records_kept(out: Path, resume: str) -> Iterator[None]:
    """Make the folder for records of a check, or empty it of the last one's records.

    Those of a check that did not come to its end are kept if it had the same text `resume`, and that is none.
    **Errors:** `InputError` if it holds records that no check wrote, or cannot be written.
    """
    mark, found = out / MARK, sorted(out.glob("width=*"))
    if found and not mark.is_file():
        raise InputError(
            f"{out} holds records that no check wrote, such as {found[0].name}: give another `out`"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not resume or not mark.is_file() or mark.read_text(encoding="utf-8") != resume:
            for each in found:
                shutil.rmtree(each)
        replace_file(mark, resume.encode())
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror or error}; give another `out`") from error
    yield
    replace_file(mark, b"")
