"""What happened to each cell, beside the store: who trains it since when, how long it took, why it failed.

Nothing depends on the journal but what `widthwise train --status` says; a lost file costs a line there.
"""

import json
import math
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Literal

from widthwise.records.folder import Folder, open_folder
from widthwise.records.layout import Cell
from widthwise.study.stored import read_json

HEARTBEAT_SECONDS = 10.0
# Without a heartbeat for so long a cell counts as interrupted: several beats, and the clocks of two machines.
SILENT_SECONDS = 90.0

NAMED = re.compile(r"width_(\d+)_seeds_(\d+)_(\d+)\.json")  # of a cell's file
State = Literal["running", "done", "failed", "interrupted"]


@dataclass(frozen=True)
class Entry:
    """One cell's last attempt. Times are seconds since 1970; `seconds` of work until `heartbeat`, those of
    earlier attempts from which a checkpoint was taken over included."""

    state: State
    identity: str
    started: float
    heartbeat: float
    seconds: float
    host: str
    pid: int
    message: str = ""

    def is_alive(self, now: float) -> bool:
        """Whether the process that says it is running still is, as far as can be seen from here."""
        # A heartbeat in the future, beyond what clocks differ by, is of no use.
        if self.state != "running" or abs(now - self.heartbeat) > SILENT_SECONDS:
            return False
        return self.host != socket.gethostname() or _runs(self.pid)


def journal_folder(store: Folder) -> Folder:
    """Where the journal of a store is: next to it, and out of sight."""
    return open_folder(store).beside(".", ".cells")


@contextmanager
def noted(store: Folder | None, cell: Cell, identity: str, *, resumed: bool = False) -> Iterator[None]:
    """Keep the journal of a cell while it is trained inside; nothing is kept of a store in memory.

    **Arguments:** `identity`, of the training; `resumed`, whether work of an earlier attempt is taken over.
    """
    if store is None:
        yield
        return
    folder, began = journal_folder(store), time.time()
    earlier = read_entry(folder, cell, identity) if resumed else None
    before = earlier.seconds if earlier else 0.0
    entry = Entry("running", identity, began, began, before, socket.gethostname(), os.getpid())

    def note(state: State, message: str = "") -> None:
        now = time.time()
        present = replace(entry, state=state, heartbeat=now, seconds=before + now - began, message=message)
        with suppress(OSError):  # a full disk is said where it matters
            folder.write(f"{cell.name}.json", json.dumps(asdict(present)).encode())

    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            note("running")

    thread = threading.Thread(target=beat, daemon=True)
    note("running")
    thread.start()
    state, message = "done", ""
    try:
        yield
    except Exception as error:
        state, message = "failed", str(error) or type(error).__name__
        raise
    except BaseException:
        state = "interrupted"
        raise
    finally:
        ended.set()
        thread.join()
        note(state, message)


def read_entry(folder: Folder, cell: Cell, identity: str) -> Entry | None:
    """The journal of a cell, None if there is none of this training that can be read."""
    try:
        entry = Entry(**read_json(folder.read(f"{cell.name}.json")))
        times = (entry.started, entry.heartbeat, entry.seconds)
        valid = all(isinstance(x, float | int) and math.isfinite(x) for x in times) and type(entry.pid) is int
    except (OSError, ValueError, TypeError, OverflowError):
        return None
    return entry if valid and entry.identity == identity else None


def read_parts(folder: Folder, cell: Cell, identity: str) -> Entry | None:
    """The journal of a cell that was trained in parts, as where seeds were added: the seconds of all of them;
    None if there is nothing of any."""
    found = []
    for file in folder.files():
        if match := NAMED.fullmatch(file):
            width, start, last = map(int, match.groups())
            if width == cell.width and cell.start <= start <= last < cell.stop:
                found.append(read_entry(folder, replace(cell, start=start, stop=last + 1), identity))
    parts = [entry for entry in found if entry is not None]
    latest = max(parts, key=lambda entry: entry.heartbeat, default=None)
    return latest and replace(latest, seconds=sum(entry.seconds for entry in parts))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
