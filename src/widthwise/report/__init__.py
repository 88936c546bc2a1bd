"""A run as one page that works offline, and as one picture. Begin at `page.py`."""

from widthwise.report.page import write_report
from widthwise.report.picture import write_picture

__all__ = ["write_picture", "write_report"]
