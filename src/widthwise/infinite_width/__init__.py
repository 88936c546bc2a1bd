"""Infinitely wide networks that learn features. Begin at `solve.py`."""

from widthwise.infinite_width.solve import InfiniteWidthSolution as InfiniteWidthSolution
from widthwise.infinite_width.solve import solve_infinite_width as solve_infinite_width
from widthwise.infinite_width.supports import has_theory as has_theory
from widthwise.infinite_width.supports import reasons_without_theory as reasons_without_theory
from widthwise.infinite_width.supports import require_theory as require_theory
