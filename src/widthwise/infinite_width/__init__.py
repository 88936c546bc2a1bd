"""Infinitely wide networks that learn features. Begin at `solve.py`."""

from widthwise.infinite_width.solve import InfiniteWidthSolution, solve_infinite_width
from widthwise.infinite_width.supports import has_theory, reasons_without_theory, require_theory

__all__ = [
    "InfiniteWidthSolution",
    "has_theory",
    "reasons_without_theory",
    "require_theory",
    "solve_infinite_width",
]
