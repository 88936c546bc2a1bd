"""Kernels as small shaded squares of text, for a terminal."""

import shutil
import sys

import numpy as np
import xarray as xr

from widthwise.report.kernel_maps import point_order
from widthwise.report.words import KERNELS

SHADES = " ░▒▓█"
MOST_POINTS = 10
MOST_KERNELS = 9
GAP = "   "


def render_kernels(theory: xr.Dataset, columns: int | None = None) -> str:
    """Every kernel of the theory at the last recorded step, a pair of points a cell, dark to light.

    Shades go from the least entry (zero where none is negative) to the greatest; both stand below. Points are
    sorted by target, training points first; of many, some are shown, and so of many layers.

    **Arguments:** `columns` to fill, of the terminal if not given.
    **Returns:** lines; empty where there is no kernel, or the terminal has no such characters.
    """
    if not _can_show(SHADES):
        return ""
    columns = shutil.get_terminal_size().columns if columns is None else columns
    order = point_order(theory, MOST_POINTS)[0]
    blocks, more = [], 0
    for name in KERNELS:
        kernel = theory[name].isel(step=-1) if name in theory else None
        layers = () if kernel is None else theory["layer"].to_numpy() if "layer" in kernel.dims else (None,)
        for at, layer in enumerate(layers):
            assert kernel is not None
            one = kernel if layer is None else kernel.isel(layer=at)
            matrix = one.transpose("point", "point_b").to_numpy()[np.ix_(order, order)]
            if len(blocks) == MOST_KERNELS:
                more += 1
            elif np.isfinite(matrix).all():
                blocks.append(_block(name if layer is None else f"{name}, layer {layer}", matrix))
    lines: list[str] = []
    while blocks:
        row, blocks = _first_row(blocks, columns)
        lines += ["", *(GAP.join(parts).rstrip() for parts in zip(*row, strict=True))]
    if more:
        lines.append(f"and {more} more in the report")
    return "\n".join(lines[1:])


def _block(title: str, matrix: np.ndarray) -> list[str]:
    """Title, one line a point, range; all of one length."""
    low, high = min(float(matrix.min()), 0.0), float(matrix.max())
    levels = np.rint((matrix - low) / ((high - low) or 1.0) * (len(SHADES) - 1)).astype(int)
    rows = ["".join(2 * SHADES[level] for level in row) for row in levels]
    lines = [title, *rows, f"{low:.2g} to {high:.2g}"]
    length = max(map(len, lines))
    return [line.ljust(length) for line in lines]


def _first_row(blocks: list[list[str]], columns: int) -> tuple[list[list[str]], list[list[str]]]:
    """The blocks that fit beside each other, at least one, and the rest."""
    count, used = 1, len(blocks[0][0])
    while count < len(blocks) and used + len(GAP) + len(blocks[count][0]) <= columns:
        used += len(GAP) + len(blocks[count][0])
        count += 1
    return blocks[:count], blocks[count:]


def _can_show(text: str) -> bool:
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
