"""Where points come from. Fixed points begin at `load.py`, streams of batches at `open.py`."""

from widthwise.data.load import load_points as load_points
from widthwise.data.open import open_stream as open_stream
from widthwise.data.points import Points as Points
from widthwise.data.stream import Batch as Batch
from widthwise.data.stream import Probes as Probes
from widthwise.data.stream import Stream as Stream
