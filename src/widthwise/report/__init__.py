"""A run as one page that works offline, and as one picture. Begin at `write.py`."""

from widthwise.report.gather import comparison_alpha
from widthwise.report.picture import write_picture
from widthwise.report.write import write_report

__all__ = ["comparison_alpha", "write_picture", "write_report"]
