"""Where a run's store is, and how it comes there: whole, or not at all."""

import shutil
from pathlib import Path

import zarr

from widthwise.atomic import partial_path
from widthwise.errors import InputError
from widthwise.records.storage_errors import disk_errors

INTERRUPTED = ".interrupted.zarr"


def run_path(out: Path, width: int, seed: int) -> Path:
    """The store of one run, a folder of its own below `out`, so that runs at the same time never meet."""
    return out / f"width={width}" / f"seed={seed}.zarr"


def folder_of(out: object) -> Path:
    """The folder that a user names.

    **Errors:** `InputError` for what is no path on a disk.
    """
    usable = isinstance(out, str | Path) and str(out) and "\0" not in str(out) and "://" not in str(out)
    if not usable:
        raise InputError(f"`out` is {out!r}: give the path of a folder")
    return Path(out)  # pyright: ignore[reportArgumentType]


def check_place(out: Path) -> None:
    """Refuse what runs cannot be put below: a file, or a store."""
    with disk_errors(out, "nothing is recorded yet"):
        out.exists()  # which says what is wrong with a name
    if out.exists() and not out.is_dir():
        raise InputError(f"`out` is {out}, which is a file: give a folder")
    if (out / "zarr.json").exists():
        raise InputError(f"`out` is {out}, which is itself a store: give a folder, runs are put below it")


def publish(partial: Path, target: Path, *, complete: bool) -> Path:
    """Put a written store in its place.

    What was there is replaced by a complete run, and by an interrupted one if it was interrupted too; beside
    a complete one an interrupted run is put under another name, which readers pass by.

    **Returns:** where it is now.
    """
    if not complete and _is_complete(target):
        target = target.with_name(target.name.removesuffix(".zarr") + INTERRUPTED)
    old = partial_path(target)
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return target


def _is_complete(store: Path) -> bool:
    """A store that cannot be read is none that would be missed."""
    try:
        done = zarr.open_group(store, mode="r")["done"]
        return isinstance(done, zarr.Array) and bool(done[0, 0])
    except (OSError, ValueError, LookupError, TypeError, RuntimeError):
        return False
