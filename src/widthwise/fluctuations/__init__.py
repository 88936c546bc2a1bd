"""Order 1/N around infinite width. Begin at `solve.py`."""

from widthwise.fluctuations.solve import FluctuationSolution, solve_response

__all__ = ["FluctuationSolution", "solve_response"]
