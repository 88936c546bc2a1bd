"""Lines to standard output and standard error, whatever stands behind them; and what is a URL."""

import os
import re
import sys
from contextlib import suppress
from typing import Protocol, runtime_checkable


@runtime_checkable
class _Stream(Protocol):
    """As much of a text file as is written to here."""

    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...

    def fileno(self) -> int: ...


def write_line(text: str, stream: _Stream | None = None) -> None:
    """One line to `stream` (standard output), at once.

    A reader that has gone, as in `widthwise run ... | head -1`, is no reason to stop: what follows goes
    nowhere. Characters that the stream cannot show become "?".
    **Errors:** `OSError` for all else, such as a full disk.
    """
    stream = sys.stdout if stream is None else stream
    if stream is None:  # standard output was closed before we started
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        stream.flush()
    except BrokenPipeError:
        _to_nowhere(stream)
    except OSError:
        _to_nowhere(stream)  # or Python would try to write the rest once more when it ends
        raise


def write_error(text: str) -> None:
    """One line to standard error; there is nobody to tell if that fails."""
    if sys.stderr is not None:
        with suppress(OSError):
            write_line(text, sys.stderr)


def _to_nowhere(stream: _Stream) -> None:
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def is_url(text: str) -> bool:
    """Whether it names a place by a protocol, or by a chain of them; a `Path` keeps only one slash of two."""
    return re.match(r"[a-zA-Z][a-zA-Z0-9+.:-]+:/", text) is not None
