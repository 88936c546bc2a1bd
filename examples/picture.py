"""Draw the picture of a finished run: `python examples/picture.py runs/digits picture.png`."""

import sys

from widthwise.report.picture import write_picture

write_picture(sys.argv[1], sys.argv[2])
