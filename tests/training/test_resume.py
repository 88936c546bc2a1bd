"""Runs that are killed, interrupted or damaged end with the same bits, and train nothing twice."""

import json
import signal
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

from widthwise.data import Points
from widthwise.records import open_records
from widthwise.study import EnsembleSettings, Study, TrainingSettings
from widthwise.training import train_ensemble

# Also run by the processes that are killed: they import this file.
STUDY = Study(
    name="resumed",
    training=TrainingSettings(steps=30),
    ensemble=EnsembleSettings(widths=(130,), seeds=12, seeds_per_cell=2),
)
POINTS = Points(np.eye(12, 8) * 3.0, np.ones((12, 1)), train=9)
CELLS = 6

CHILD = """if True:
    import os, signal, sys
    sys.path.insert(0, sys.argv[2])
    import zarr.storage._local as local_store
    from test_resume import Counting, POINTS, STUDY
    from widthwise.training import train_ensemble
    last, intact, count = int(sys.argv[3]), local_store._put, 0
    def put(path, value, exclusive=False):
        global count
        count += "c" in path.parts
        if count == last:  # a process that dies while writing leaves half a temporary file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".0123.partial").write_bytes(value.to_bytes()[:9])
            os.kill(os.getpid(), signal.SIGKILL)
        return intact(path, value, exclusive)
    local_store._put = put
    train_ensemble(STUDY, sys.argv[1], points=POINTS, progress=Counting(print))
"""


class Counting:
    """Progress that counts networks trained."""

    def __init__(self, tell=lambda *_, **__: None):
        self.trained, self.total, self.messages, self.tell = 0, 0, [], tell

    def start(self, label, total, parts=()):
        self.total = total

    def advance(self, amount=1):
        self.trained += amount
        self.tell("trained", amount, flush=True)

    def say(self, message):
        self.messages.append(message)


def run_and_kill(path, folder, *, write=-1, after_networks=None):
    """Train in a process of its own, killed at a chunk write, or at once after it trained some networks.

    Returns the networks it had trained; those of its last cell may not be done.
    """
    command = [sys.executable, "-c", CHILD, str(path), str(folder), str(write)]
    trained = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            trained += int(line.split()[1])
            if trained == after_networks:
                child.kill()
    assert child.returncode == -signal.SIGKILL
    return trained


def done_networks(path):
    return int(open_records(path)["done"].sum()) if path.exists() else 0


def identical(first, second):
    """Equal names, dimensions and values, to the bit."""
    assert set(first.variables) == set(second.variables)
    for name, variable in first.variables.items():
        assert variable.dims == second.variables[name].dims
        assert variable.values.tobytes() == second.variables[name].values.tobytes(), name


@pytest.fixture(scope="module")
def uninterrupted():
    return train_ensemble(STUDY, points=POINTS)


@pytest.mark.slow
def test_a_run_killed_four_times_ends_with_the_same_bits_and_trains_nothing_twice(
    tmp_path, request, uninterrupted
):
    path, folder = tmp_path / "killed.zarr", request.path.parent
    coordinates, chunks = 16, 10  # files written at creation, and for a cell: 8 quantities and 2 marks
    for moment, finished in [
        ({"write": 5}, 0),  # while the store is made
        ({"write": coordinates + chunks + 3}, 1),  # amid the second cell
        ({"write": chunks}, 1),  # just before the second cell is marked done
        ({"after_networks": 4}, None),  # whenever the signal arrives, about when two more cells are done
    ]:
        before = done_networks(path)
        trained = run_and_kill(path, folder, **moment)
        after = done_networks(path)
        assert finished is None or after == 2 * finished, moment
        assert after >= before
        assert 0 <= trained - (after - before) <= 2, "more than the unfinished cell was lost"
    assert 2 < after < 12, "the last kill came too early or too late to say anything"
    progress = Counting()
    resumed = train_ensemble(STUDY, path, points=POINTS, progress=progress)
    assert progress.trained == progress.total == 12 - after
    assert progress.messages == [f"{after // 2} of {CELLS} cells were already trained"]
    identical(resumed, uninterrupted)
    assert len(json.loads(resumed.attrs["resumed"])) >= 2
    again = Counting()
    identical(train_ensemble(STUDY, path, points=POINTS, progress=again), uninterrupted)
    assert again.trained == 0
    assert xr.open_zarr(path, consolidated=True).attrs["resumed"] == resumed.attrs["resumed"]
    assert not list(tmp_path.rglob("*.partial"))


def test_an_interrupt_keeps_what_was_done_and_frees_the_store(tmp_path, uninterrupted):
    class Interrupting(Counting):
        def advance(self, amount=1):
            super().advance(amount)
            if self.trained == 4:
                raise KeyboardInterrupt

    path = tmp_path / "interrupted.zarr"
    with pytest.raises(KeyboardInterrupt):
        train_ensemble(STUDY, path, points=POINTS, progress=Interrupting())
    assert done_networks(path) == 2
    progress = Counting()
    identical(train_ensemble(STUDY, path, points=POINTS, progress=progress), uninterrupted)
    assert progress.trained == 10


def test_a_lost_chunk_is_trained_again_to_the_same_bits(tmp_path, uninterrupted):
    path = tmp_path / "damaged.zarr"
    train_ensemble(STUDY, path, points=POINTS)
    victims = sorted(f for f in (path / "tangent_kernel" / "c").rglob("*") if f.is_file())
    victims[1].unlink()
    flipped = bytearray(victims[4].read_bytes())
    flipped[100] ^= 1
    victims[4].write_bytes(flipped)
    progress = Counting()
    identical(train_ensemble(STUDY, path, points=POINTS, progress=progress), uninterrupted)
    assert progress.trained == 4
