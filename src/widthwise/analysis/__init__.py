"""What an ensemble shows, and how it compares with theory. Begin at `compare.py`."""

from widthwise.analysis.compare import Comparison, compare
from widthwise.analysis.ensemble import summarize_ensemble
from widthwise.analysis.same_study import point_splits
from widthwise.analysis.series import TheorySeries, scan_series, theory_series
from widthwise.analysis.verdict import ClaimRow
from widthwise.analysis.wide_enough import (
    Sufficient,
    WideEnough,
    check_tolerance,
    relative_distance_terms,
    sufficient_width,
    wide_enough,
)

__all__ = [
    "ClaimRow",
    "Comparison",
    "Sufficient",
    "TheorySeries",
    "WideEnough",
    "check_tolerance",
    "compare",
    "point_splits",
    "relative_distance_terms",
    "scan_series",
    "sufficient_width",
    "summarize_ensemble",
    "theory_series",
    "wide_enough",
]
