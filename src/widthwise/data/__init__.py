"""Where points come from. Begin at `load.py`."""

from widthwise.data.points import Points

__all__ = ["Points"]
