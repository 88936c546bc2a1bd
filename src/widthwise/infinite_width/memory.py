"""Whether a request fits into this machine's memory, known before anything is compiled."""

import os

from widthwise.errors import InputError

DOUBLE = 8
SHARE = 0.8  # of the machine's memory that may be used


def usable_bytes() -> int:
    """Bytes that a computation may take."""
    return int(SHARE * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def require_room_for_values(steps: int, shape: tuple[int, int], replicates: int) -> None:
    """Raise `InputError` unless the order parameters of all replicates fit; `shape` is (points, outputs)."""
    points, outputs = shape
    needed = DOUBLE * (replicates + 2) * steps * points * (outputs + 3 * points)
    if needed > usable_bytes():
        raise InputError(
            f"order parameters of {steps} recorded steps and {points} points in {replicates} scramblings "
            f"need {needed / 1e9:.1f} GB, and {usable_bytes() / 1e9:.1f} GB may be used: record fewer steps "
            '(`record.steps` = "log" or a list) or take fewer points'
        )
