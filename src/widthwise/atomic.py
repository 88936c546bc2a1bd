"""Files that are there whole or not at all."""

import uuid
from collections.abc import Callable
from pathlib import Path

PARTIAL = ".partial"  # how names of files end that are being written


def replace_file(target: Path, content: bytes, check: Callable[[Path], None] | None = None) -> None:
    """Write under a temporary name beside the target, then put it in place at once.

    **Arguments:** `check`, told where the content is before it is put in place; it raises if it is not whole.
    **Errors:** `OSError` if it cannot be written; an older target stays, and nothing else is left.
    """
    partial = partial_path(target)
    try:
        partial.write_bytes(content)
        if check is not None:
            check(partial)
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def partial_path(target: Path) -> Path:
    """Where a file or folder is written before it is whole: hidden, and no other writer's."""
    return target.with_name(f".{target.name}.{uuid.uuid4().hex}{PARTIAL}")
