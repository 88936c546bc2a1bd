"""Where cells are run: cell after cell in this process, or as tasks of a Ray cluster."""
