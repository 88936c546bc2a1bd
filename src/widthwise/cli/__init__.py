"""The command line, the only room that prints. Begin at `app.py`."""

from widthwise.cli.app import main

__all__ = ["main"]
