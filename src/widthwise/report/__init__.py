"""A run as one page that works offline, and as one picture. Begin at `write.py`."""

from widthwise.report.build_page import write_report
from widthwise.report.picture import write_picture

__all__ = ["write_picture", "write_report"]
