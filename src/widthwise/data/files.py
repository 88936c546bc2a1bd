"""What all readers of files share: paths, contents hashed, room in memory, packages that may be missing."""

import hashlib
import re
import stat
from collections.abc import Sequence
from pathlib import Path

from widthwise.data.machine_memory import machine_bytes
from widthwise.errors import InputError
from widthwise.study import Study
from widthwise.study.values import dangling_link, from_home

WHOLE = 256 * 2**20  # bytes up to which contents are hashed whole
PIECES, PIECE = 1024, 64 * 1024
SHARE = 0.8  # of the machine's memory that may be used


def data_path(study: Study) -> Path:
    """`data.path`, a relative one starting from the study file's folder.

    **Errors:** `InputError` if nothing is there.
    """
    path = Path(study.folder) / from_home(study.data.path or "")
    try:
        path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, FileNotFoundError):
            reason = dangling_link(path) or "there is no such file"
        raise InputError(f"{path}: {reason}; `data.path` starts from the study file") from None
    return path


def visible(folder: Path) -> list[Path]:
    """What a folder holds, hidden files left out, in natural order: part9 before part10.

    **Errors:** `InputError` if it is no folder or cannot be read.
    """
    try:
        return sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=natural)
    except OSError as error:
        raise InputError(f"{folder}: cannot be read as a folder: {error.strerror}") from None


def natural(path: Path) -> tuple[tuple[str | int, ...], str]:
    """Sorts numbers in names by their value.

    >>> sorted([Path("p10"), Path("p9"), Path("p1b")], key=natural) == [Path("p1b"), Path("p9"), Path("p10")]
    True
    """
    parts = re.split(r"([0-9]+)", path.name)
    return tuple(int(part) if i % 2 else part for i, part in enumerate(parts)), path.name


def file_size(path: Path) -> int | None:
    """Bytes of a regular file; none for folders, devices, and links that lead nowhere or in circles."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def files_digest(files: Sequence[Path], root: Path) -> str:
    """Content hash (hex, 64 digits) of files: names below `root`, sizes, and contents.

    Contents are hashed whole where all files together have at most 256 MB; of more, 1,024 pieces of 64 kB,
    evenly spaced over all files laid end to end, the first at the beginning and the last at the end.
    """
    sizes = [file_size(path) or 0 for path in files]
    digest = hashlib.sha256()
    for path, size in zip(files, sizes, strict=True):
        digest.update(f"{path.relative_to(root).as_posix()}\0{size}\0".encode(errors="surrogateescape"))
    total = sum(sizes)
    starts = [i * (total - PIECE) // (PIECES - 1) for i in range(PIECES)] if total > WHOLE else None
    begin, piece = 0, 0
    for path, size in zip(files, sizes, strict=True):
        if starts is None:
            digest.update(_read(path, 0, size))
        else:
            while piece < PIECES and starts[piece] < begin + size:
                digest.update(_read(path, starts[piece] - begin, PIECE))
                piece += 1
        begin += size
    return digest.hexdigest()


def _read(path: Path, start: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(size)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def usable_bytes() -> int:
    """The share of this machine's memory, or of its container's, that a computation may take."""
    return int(SHARE * machine_bytes())


def require_memory(needed: int, what: str) -> None:
    """Raise `InputError` unless `needed` bytes fit into the share of this machine's memory that may be
    used."""
    usable = usable_bytes()
    if needed > usable:
        raise InputError(
            f"{what} need {needed / 1e9:.1f} GB of memory, and {usable / 1e9:.1f} GB may be used: lower "
            '`data.train` or `data.test`, or set data.order = "online"'
        )


def missing_package(package: str, extra: str) -> InputError:
    """What to say where a package of an extra is not installed."""
    return InputError(
        f'the package `{package}` is needed for this kind of data: pip install "widthwise[{extra}]"'
    )


def combined_digest(*parts: str) -> str:
    """Content hash (hex, 64 digits) of several."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
