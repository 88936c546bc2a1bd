"""Cell after cell in this process; one program is compiled for each width."""

from itertools import groupby

import numpy as np

from widthwise.progress import Progress, said_if_long
from widthwise.records import Cell, RecordStore
from widthwise.training.cell import report_divergence, train_cell
from widthwise.training.plan import Plan


def run_in_process(plan: Plan, store: RecordStore, pending: list[Cell], progress: Progress) -> None:
    """Train the cells in the order given, each written and marked done before the next."""
    for width, cells in groupby(pending, key=lambda cell: cell.width):
        with said_if_long(progress, f"width {width}: compiling"):
            trainer = plan.trainer_of(width)
        diverged_at = [train_cell(trainer, store, cell, progress) for cell in cells]
        report_divergence(width, np.concatenate(diverged_at), progress)
