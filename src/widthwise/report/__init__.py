"""A run as one page that works offline, and as one picture. Begin at `page.py`."""

from widthwise.report.gather import comparison_alpha
from widthwise.report.page import write_report
from widthwise.report.picture import write_picture

__all__ = ["comparison_alpha", "write_picture", "write_report"]
