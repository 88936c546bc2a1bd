"""Where a run is, and what is made there. Loads neither theory nor report: training starts sooner."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from widthwise.cli.streams import is_url
from widthwise.errors import InputError
from widthwise.study import Study


def place_of(study: Study, out: str | None) -> str | Path:
    """Where a run is: a folder, or a URL."""
    if out is not None and is_url(out):
        return out.rstrip("/")
    return Path("runs") / study.name if out is None else Path(out)


def records_in(place: str | Path) -> str | Path:
    """Where the records of a run are."""
    return f"{place}/records.zarr" if isinstance(place, str) else place / "records.zarr"


def refuse_file(directory: Path) -> None:
    """Raise `InputError` if a file is where the folder is to be."""
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory}: is a file; give a folder with --out")


@contextmanager
def made(directory: Path) -> Iterator[None]:
    """The folder; if what is done within fails before it has written anything, it goes again."""
    new = [folder for folder in (directory, *directory.parents) if not folder.exists()]
    try:
        directory.mkdir(parents=True, exist_ok=True)
        yield
    except Exception:
        with suppress(OSError):  # a folder that holds something stays
            for folder in new:
                folder.rmdir()
        raise
