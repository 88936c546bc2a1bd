"""Where a run is, and what is made there. Loads neither theory nor report: training starts sooner."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from widthwise.cli.streams import is_url
from widthwise.errors import InputError
from widthwise.progress import Progress
from widthwise.study import Study


def folder_of(out: str | None, otherwise: Path) -> Path:
    """The folder that `--out` names.

    **Errors:** `InputError` for an empty name, as of a variable of the shell that is not set.
    """
    if out is not None and (not out.strip() or "\0" in out):
        raise InputError(f'`--out "{out}"`: names no folder; give one, or leave --out away for {otherwise}')
    return otherwise if out is None else Path(out)


def place_of(study: Study, out: str | None) -> str | Path:
    """Where a run is: a folder, or a URL."""
    if out is not None and is_url(out):
        return out.rstrip("/")
    return folder_of(out, Path("runs") / study.name)


def records_in(place: str | Path) -> str | Path:
    """Where the records of a run are."""
    return f"{place}/records.zarr" if isinstance(place, str) else place / "records.zarr"


def refuse_file(directory: Path) -> None:
    """Raise `InputError` if a file is where the folder is to be."""
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory}: is a file; give a folder with --out")


@contextmanager
def made(directory: Path) -> Iterator[None]:
    """The folder; if what is done within fails before it has written anything, it goes again.

    **Errors:** `InputError` if a file is there.
    """
    refuse_file(directory)
    new = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        yield
    except Exception:
        with suppress(OSError):  # a folder that holds something stays
            for folder in new:
                folder.rmdir()
        raise


def train_alone(study: Study, place: str | Path, progress: Progress) -> None:
    """Train what is not trained yet, into a folder or to a URL."""
    from widthwise.training import train_ensemble

    with nullcontext() if isinstance(place, str) else made(place):
        train_ensemble(study, records_in(place), progress=progress)
