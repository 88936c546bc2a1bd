"""Order 1/N around infinite width. Begin at `corrections.py`."""

from widthwise.fluctuations.corrections import (
    FiniteWidthCorrections,
    finite_width_corrections,
    has_fluctuations,
    require_corrections,
)
from widthwise.fluctuations.deep_covariance import Observable, solve_covariance

__all__ = [
    "FiniteWidthCorrections",
    "Observable",
    "finite_width_corrections",
    "has_fluctuations",
    "require_corrections",
    "solve_covariance",
]
