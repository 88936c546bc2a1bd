"""A run as one page that works offline, and as one picture. Begin at `write.py`."""

from widthwise.report.build_page import write_report
from widthwise.report.gather import comparison_alpha
from widthwise.report.picture import write_picture

__all__ = ["comparison_alpha", "write_picture", "write_report"]
