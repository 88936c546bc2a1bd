"""From what the operating system reports to what the user should do about it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from widthwise.errors import InputError

FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the largest allowed file size is reached",
}


@contextmanager
def disk_errors(path: Path | str, done: str) -> Iterator[None]:
    """Turn an `OSError` inside into an `InputError` that says which path, why, and how to go on.

    **Arguments:** `done`, how much of the run is safe on disk, as the end of a sentence.
    """
    try:
        yield
    except OSError as error:
        number = error.errno or 0
        reason = FULL.get(number, os.strerror(number) if number else str(error))
        mend = "free some space" if number in FULL else "mend that"
        raise InputError(
            f"cannot write {path}: {reason}; {done}; {mend} and give the same command again, which resumes"
        ) from error
