"""What an ensemble shows, and how it compares with theory. Begin at `compare.py`."""

from widthwise.analysis.compare import Comparison, compare
from widthwise.analysis.verdict import VerdictRow

__all__ = ["Comparison", "VerdictRow", "compare"]
