"""Infinitely wide networks that learn features. Begin at `solve.py`."""

from widthwise.infinite_width.solve import InfiniteWidthSolution, solve_infinite_width

__all__ = ["InfiniteWidthSolution", "solve_infinite_width"]
