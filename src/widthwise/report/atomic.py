"""Files that are there whole or not at all."""

from pathlib import Path

from widthwise.atomic import replace_file
from widthwise.errors import InputError


def write_bytes(target: Path, content: bytes) -> None:
    """Write under a temporary name beside the target, then put it in place at once.

    **Errors:** `InputError` if the folder cannot be written, the disk is full, or the target is there and no
    file; an older target stays.
    """
    if target.exists() and not target.is_file():
        raise InputError(f"cannot write {target}: it is a folder or a device; give the name of a file")
    try:
        replace_file(target, content)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(
            f"cannot write {target}: {reason}; mend that and give the same command again"
        ) from error
