"""Where points come from. Fixed points begin at `load.py`, streams of batches at `open.py`."""

from widthwise.data.load import load_points
from widthwise.data.open import open_stream
from widthwise.data.points import Points
from widthwise.data.stream import Batch, Probes, Stream

__all__ = ["Batch", "Points", "Probes", "Stream", "load_points", "open_stream"]
