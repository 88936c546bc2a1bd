"""Files that are there whole or not at all."""

import os
import tempfile
from pathlib import Path

from widthwise.errors import InputError


def write_bytes(target: Path, content: bytes) -> None:
    """Write under a temporary name beside the target, then put it in place at once.

    **Errors:** `InputError` if the folder cannot be written, the disk is full, or the target is there and no
    file; an older target stays.
    """
    if target.exists() and not target.is_file():
        raise InputError(f"cannot write {target}: it is a folder or a device; give the name of a file")
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise InputError(
            f"cannot write {target}: {reason}; mend that and give the same command again"
        ) from error
