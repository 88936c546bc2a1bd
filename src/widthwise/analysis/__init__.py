"""What an ensemble shows, and how it compares with theory. Begin at `compare.py`."""

from widthwise.analysis.compare import Comparison, compare
from widthwise.analysis.ensemble import summarize_ensemble
from widthwise.analysis.same_study import point_splits
from widthwise.analysis.series import TheorySeries, scan_series, theory_series
from widthwise.analysis.verdict import ClaimRow
from widthwise.analysis.wide_enough import WideEnough, check_tolerance, wide_enough

__all__ = [
    "ClaimRow",
    "Comparison",
    "TheorySeries",
    "WideEnough",
    "check_tolerance",
    "compare",
    "point_splits",
    "scan_series",
    "summarize_ensemble",
    "theory_series",
    "wide_enough",
]
