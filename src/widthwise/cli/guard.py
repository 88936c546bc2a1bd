"""From what went wrong to one message on standard error and an exit status, without a traceback."""

import _thread
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from widthwise.cli.streams import write_error
from widthwise.errors import InputError

BAD_INPUT, INTERRUPTED = 2, 130
AGAIN_SECONDS = 0.05
RESUME = "the same command goes on from there"
# How libraries that raise errors of their own report the operating system's.
FULL_DISK, NO_MEMORY = "No space left on device", "RESOURCE_EXHAUSTED"


@dataclass
class Guard:
    """What an interruption should report on: the folder or URL that is written to, once it is known."""

    directory: Path | str | None = None


@contextmanager
def guarded() -> Iterator[Guard]:
    """Turn errors that a user can cause, and Ctrl-C, into a message and `typer.Exit`; warnings are not shown.

    Anything else is a fault of widthwise, and keeps its traceback.
    """
    guard = Guard()
    try:
        with warnings.catch_warnings(), _interruptions_heard():
            # Outcomes and the report say what matters; `python -W` brings the rest back.
            if not sys.warnoptions:
                warnings.simplefilter("ignore")
            yield guard
    except KeyboardInterrupt:
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # of what zarr was about to do when it ends
        _leave(f"interrupted: {_saved(guard.directory)}", INTERRUPTED)
    except InputError as error:
        _leave(str(error))
    except MemoryError as error:
        why = f": {error}" if str(error) else ""
        _leave(f"out of memory{why}; ask for fewer points, steps, sites or seeds at once")
    except OSError as error:
        _leave(_system_message(error))
    except Exception as error:
        if FULL_DISK in str(error):
            _leave(f"{FULL_DISK}: free some space; {RESUME}")
        if NO_MEMORY in str(error):
            _leave("out of memory; ask for fewer points, steps, sites or seeds at once")
        if platforms := _missing_platforms():
            _leave(f"JAX_PLATFORMS={platforms}: JAX finds no such device here; unset it")
        raise


def _missing_platforms() -> str:
    """What the environment has JAX compute on, if that cannot be had: whatever came of it."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    try:
        if platforms and "jax" in sys.modules:
            sys.modules["jax"].devices()
    except Exception:
        return platforms
    return ""


@contextmanager
def _interruptions_heard() -> Iterator[None]:
    """Send Ctrl-C again if it came where Python cannot raise it, as in a callback of the garbage collector
    (JAX has one): there it would be printed, and forgotten."""
    before = sys.unraisablehook

    def again(unraisable: "sys.UnraisableHookArgs") -> None:
        if unraisable.exc_type is not KeyboardInterrupt:
            before(unraisable)
            return
        timer = threading.Timer(AGAIN_SECONDS, _thread.interrupt_main)
        timer.daemon = True
        timer.start()

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = before


def _leave(message: str, status: int = BAD_INPUT) -> None:
    write_error(f"widthwise: {message}")
    raise typer.Exit(status) from None


def _system_message(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if FULL_DISK in f"{reason} {error}":
        return f"{where}{FULL_DISK}: free some space or choose another --out; {RESUME}"
    return f"{where}{reason}; mend that or choose another --out; {RESUME}"


def _saved(directory: Path | str | None) -> str:
    """What is safe in the run's folder."""
    if isinstance(directory, str):
        return f"{directory} keeps the cells that were done; {RESUME}"
    if directory is None or not directory.is_dir():
        return "nothing was written yet"
    kept = [name for name in ("theory.nc", "report.html") if (directory / name).is_file()]
    if (directory / "records.zarr").is_dir():
        kept.append(_trained(directory / "records.zarr"))
    if copies := len(list(directory.glob("width=*/seed=*.zarr"))):
        kept.append(f"{copies} trained networks")
    return f"{directory} keeps {' and '.join(kept) or 'no results yet'}; {RESUME}"


def _trained(path: Path) -> str:
    from widthwise.records import open_records

    try:
        done = open_records(path)["done"]
        return f"{int(done.sum())} of {done.size} trained networks"
    except (InputError, KeyError, OSError):
        return path.name
