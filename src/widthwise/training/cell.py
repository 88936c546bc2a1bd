"""One cell from its first network to its mark `done`: idempotent, whoever runs it and however often."""

import numpy as np

from widthwise.progress import Progress
from widthwise.records import Cell, RecordStore
from widthwise.records.journal import noted
from widthwise.training.checkpoint import Checkpoint, checkpoint_folder
from widthwise.training.chunks import units_of
from widthwise.training.plan import BlockTrainer


def train_cell(trainer: BlockTrainer, store: RecordStore, cell: Cell, progress: Progress) -> np.ndarray:
    """Train the networks of a cell and record them, from where an earlier attempt was interrupted.

    Blocks of networks that are recorded already stay; of the block amid which a process died, training goes
    on from its last checkpoint. The numbers are those of an undisturbed run, to the last bit.

    **Returns:** where each network diverged, -1 if nowhere.
    """
    layout, identity = store.layout, store.layout.training_hash()
    blocks = layout.blocks(cell)
    minutes = layout.study.run.checkpoint_minutes

    def kept(part: str) -> Checkpoint | None:
        if store.folder is None:
            return None
        return Checkpoint(checkpoint_folder(store.folder), identity, cell, part, minutes, progress)

    # Where networks diverged, by the first seed of their block, of blocks that are recorded and whole.
    ledger = kept("written") if len(blocks) > 1 else None
    written = (ledger.load() if ledger else None) or {}
    diverged = {
        seeds.start: written[str(seeds.start)]
        for seeds in blocks
        if str(seeds.start) in written and store.holds(cell, seeds)
    }
    checkpoints = {seeds.start: kept(f"{seeds.start:05d}") for seeds in blocks}
    resumed = bool(diverged) or any(each is not None and each.exists() for each in checkpoints.values())
    with noted(store.folder, cell, identity, resumed=resumed):
        store.begin(cell, diverged)
        for seeds in blocks:
            if seeds.start in diverged:
                progress.advance(units_of(layout.study) * len(seeds))
                continue
            checkpoint = checkpoints[seeds.start]
            trajectory = trainer(seeds, checkpoint, progress)
            store.write(cell, seeds.start, trajectory.quantities)
            diverged[seeds.start] = trajectory.diverged_at
            if ledger is not None:
                ledger.save({str(start): values for start, values in diverged.items()})
            if checkpoint is not None:
                checkpoint.remove()
        everywhere = np.concatenate([diverged[seeds.start] for seeds in blocks])
        store.finish(cell, everywhere)
        if ledger is not None:
            ledger.remove()
    return everywhere


def remove_checkpoints(store: RecordStore, pending: list[Cell]) -> None:
    """Remove checkpoints of cells that are done, and the folder if nothing is left in it."""
    if store.folder is None:
        return
    folder = checkpoint_folder(store.folder)
    open_cells = {cell.name for cell in pending}
    for file in folder.files():
        if file.endswith(".npz") and file.split(".")[0] not in open_cells:
            folder.remove(file)
    folder.remove_if_empty()


def report_divergence(width: int, diverged_at: np.ndarray, progress: Progress) -> None:
    """One line, if any network of this width diverged; `diverged_at` is -1 for those that did not."""
    bad = diverged_at[diverged_at >= 0]
    if not bad.size:
        return
    if bad.min() == 0:
        what = "are not finite before the first step: are inputs, targets or a scale of `network` too large?"
    else:
        advice = "lower `training.learning_rate` if that is not what you study"
        what = f"diverged, first at step {bad.min()}; {advice}"
    progress.say(f"width {width}: {bad.size} of {diverged_at.size} networks {what}")
