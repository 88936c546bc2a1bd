"""Where points come from. Begin at `load.py`."""

from widthwise.data.load import load_points
from widthwise.data.points import Points

__all__ = ["Points", "load_points"]
