"""Order 1/N around infinite width. Begin at `solve.py`."""

from widthwise.fluctuations.solve import FluctuationSolution, has_fluctuations, solve_response

__all__ = ["FluctuationSolution", "has_fluctuations", "solve_response"]
