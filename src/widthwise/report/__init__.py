"""A run as one page that works offline. Begin at `page.py`."""

from widthwise.report.page import write_report

__all__ = ["write_report"]
