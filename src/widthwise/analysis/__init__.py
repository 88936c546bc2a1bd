"""What an ensemble shows, and how it compares with theory. Begin at `compare.py`."""

from widthwise.analysis.align import point_splits
from widthwise.analysis.compare import Comparison, compare
from widthwise.analysis.ensemble import summarize_ensemble
from widthwise.analysis.verdict import VerdictRow
from widthwise.analysis.wide_enough import relative_distance_terms, sufficient_width

__all__ = [
    "Comparison",
    "VerdictRow",
    "compare",
    "point_splits",
    "relative_distance_terms",
    "sufficient_width",
    "summarize_ensemble",
]
