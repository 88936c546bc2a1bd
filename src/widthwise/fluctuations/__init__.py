"""Order 1/N around infinite width. Begin at `solve.py`."""

from widthwise.fluctuations.deep_covariance import Observable, solve_covariance
from widthwise.fluctuations.solve import FluctuationSolution, has_fluctuations, solve_response

__all__ = ["FluctuationSolution", "Observable", "has_fluctuations", "solve_covariance", "solve_response"]
