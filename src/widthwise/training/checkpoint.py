"""What a killed process leaves of a cell in training, so that at most some minutes of work are lost."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from widthwise.progress import SILENT, Progress
from widthwise.records import Cell
from widthwise.records.array_file import DamagedFile, pack_arrays, unpack_arrays
from widthwise.records.folder import Folder
from widthwise.records.storage_errors import disk_errors

Arrays = Mapping[str, np.ndarray]
FORM = 2  # of the states of a run; files of another are not read


def checkpoint_folder(store: Folder) -> Folder:
    """Where the checkpoints of a store are: next to it, `records.zarr.checkpoints`."""
    return store.beside("", ".checkpoints")


@dataclass
class Checkpoint:
    """One file of what is known of a cell in training, replaced from time to time.

    The state is a flat dictionary of NumPy arrays. A file that was cut short, damaged, or written by another
    training is never taken for a state; it is removed, and `progress` is told.

    **Fields:** `folder`, see `checkpoint_folder`; `training`, the hash of the training; `part` of the cell,
    such as one block of its networks, as a word of a file name; `minutes` between two checkpoints, 0 for one
    whenever there is something to save.
    """

    folder: Folder
    training: str
    cell: Cell
    part: str
    minutes: float
    progress: Progress = SILENT
    _saved: float = field(default_factory=time.monotonic)

    @property
    def file(self) -> str:
        """Name of the file in the folder: cell, part and ending."""
        return f"{self.cell.name}.{self.part}.npz"

    def load(self) -> dict[str, np.ndarray] | None:
        """The last state saved by this very training, None if there is none."""
        content = self.folder.read(self.file)
        if content is None:
            return None
        try:
            arrays, identity = unpack_arrays(content)
            fault = "" if identity == self._identity() else "it belongs to another training"
        except DamagedFile as error:
            arrays, fault = {}, str(error)
        if not fault:
            return arrays
        self.progress.say(f"checkpoint {self.folder.name}/{self.file} is not used: {fault}")
        self.remove()
        return None

    def exists(self) -> bool:
        """Whether there is a file, of whatever worth."""
        return self.folder.has(self.file)

    def maybe_save(self, state: Callable[[], Arrays]) -> bool:
        """Save the state if the last checkpoint is old enough for another; returns whether it was."""
        due = time.monotonic() - self._saved >= 60.0 * self.minutes
        if due:
            self.save(state())
        return due

    def save(self, state: Arrays) -> None:
        """Replace the checkpoint.

        **Errors:** `InputError` if the disk is full or may not be written; the checkpoint before it stays.
        """
        with disk_errors(f"{self.folder.name}/{self.file}", "the checkpoint before it is safe"):
            self.folder.write(self.file, pack_arrays(state, self._identity()))
        self._saved = time.monotonic()

    def remove(self) -> None:
        """Remove the checkpoint, once it is not needed or of no use."""
        self.folder.remove(self.file)

    def _identity(self) -> str:
        return f"{FORM} {self.training} {self.cell.name} {self.part}"
