"""Runs that are killed again and again, and two runs on one store."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from widthwise.data import Points
from widthwise.records import open_records
from widthwise.study import EnsembleSettings, RecordSettings, Study, TrainingSettings
from widthwise.training import train_ensemble

# Also run by the processes that are killed: they import this file.
STUDY = Study(
    name="killed",
    training=TrainingSettings(steps=4_000),
    ensemble=EnsembleSettings(widths=(48, 64), seeds=12, seeds_per_cell=2),
    record=RecordSettings(steps="log", quantities=("prediction", "loss")),
)
POINTS = Points(np.eye(12, 8) * 3.0, np.ones((12, 1)), train=9)
CELLS, KILLS = 12, 30

# Imports once, and forks before JAX starts threads; each child trains until it is done or killed.
PARENT = """if True:
    import os, sys
    sys.path.insert(0, sys.argv[2])
    import widthwise.training.executors.process as process
    from test_faults import POINTS, STUDY
    from widthwise.training import train_ensemble
    intact = process.train_cell
    def train_cell(trainer, store, cell, progress):
        trainer(range(1), None, Silent()) if not warm else None
        warm.append(1)
        print("begin", cell.name, flush=True)
        return intact(trainer, store, cell, progress)
    class Silent:
        def start(self, label, total, parts=()): pass
        def advance(self, amount=1): pass
        def say(self, message): pass
    process.train_cell, warm = train_cell, []
    for line in sys.stdin:
        if not (child := os.fork()):
            print("child", os.getpid(), flush=True)
            train_ensemble(STUDY, sys.argv[1], points=POINTS)
            os._exit(0)
        print("ended", os.waitpid(child, 0)[1], flush=True)
"""


def done_cells(path):
    """Names of the cells that the store calls done."""
    if not path.exists():
        return set()
    done = open_records(path)["done"].values
    starts = range(0, 12, 2)
    return {
        f"width_{width:05d}_seeds_{start:05d}_{start + 1:05d}"
        for index, width in enumerate((48, 64))
        for start in starts
        if done[index, start : start + 2].all()
    }


def identical(first, second):
    assert set(first.variables) == set(second.variables)
    for name, variable in first.variables.items():
        assert variable.values.tobytes() == second.variables[name].values.tobytes(), name


@pytest.mark.long
def test_thirty_kills_lose_nothing_and_train_nothing_twice(tmp_path, request, seed):
    """Killed at any moment of the first cell it trains, or of the second: then one more cell is done."""
    path, moments, times = tmp_path / "killed.zarr", random.Random(seed), []

    class Timing:
        def start(self, label, total, parts=()):
            pass

        def advance(self, amount=1):
            times.append(time.perf_counter())

        def say(self, message):
            pass

    undisturbed = train_ensemble(STUDY, points=POINTS, progress=Timing())
    cell_seconds = float(np.median(np.diff(times)))
    seconds = [0] * (KILLS - 8) + [1] * 8
    moments.shuffle(seconds)
    command = [sys.executable, "-W", "ignore", "-c", PARENT, str(path), str(request.path.parent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        for amid_second in seconds:
            before, begun = done_cells(path), set()
            parent.stdin.write("go\n")
            parent.stdin.flush()
            child = int(parent.stdout.readline().split()[1])
            for _ in range(1 + amid_second):
                begun.add(parent.stdout.readline().split()[1])
            time.sleep(moments.uniform(0.0, 0.9 * cell_seconds))
            os.kill(child, signal.SIGKILL)
            while (words := parent.stdout.readline().split())[0] == "begin":
                begun.add(words[1])
            assert int(words[1]) == signal.SIGKILL, "the run ended before it was killed"
            after = done_cells(path)
            assert before <= after, "a done cell was lost"
            assert not begun & before, "a done cell was trained again"
            assert after - before <= begun and len(begun - after) <= 1, "more than one cell was lost"
        parent.stdin.close()
    assert len(done_cells(path)) >= 8
    identical(train_ensemble(STUDY, path, points=POINTS), undisturbed)
    assert not list(tmp_path.rglob("*.partial"))


TOML = """
[study]
name = "two"
[data]
kind = "synthetic"
dimension = 3
train = 2
test = 1
[training]
steps = 20000
[ensemble]
widths = [64]
seeds = 4
seeds_per_cell = 2
[record]
steps = "log"
"""


@pytest.mark.slow
def test_two_commands_on_one_store_one_is_refused_and_the_other_ends(tmp_path):
    (tmp_path / "two.toml").write_text(TOML)
    command = [sys.executable, "-m", "widthwise", "train", "two.toml", "--out", "out"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as first:
        while not (tmp_path / "out" / "records.zarr" / "zarr.json").exists():
            assert first.poll() is None
            time.sleep(0.01)
        first.send_signal(signal.SIGSTOP)
        second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        first.send_signal(signal.SIGCONT)
        first.communicate(timeout=300)
    assert second.returncode == 2 and "is being written by another process" in second.stderr
    assert "Traceback" not in second.stderr
    assert first.returncode == 0
    assert open_records(tmp_path / "out" / "records.zarr")["done"].values.all()


def test_the_user_is_told_which_cell_was_damaged_and_how(tmp_path):
    messages = []

    class Telling:
        def start(self, label, total, parts=()):
            pass

        def advance(self, amount=1):
            pass

        def say(self, message):
            messages.append(message)

    study = Study(
        name="told",
        training=TrainingSettings(steps=5),
        ensemble=EnsembleSettings(widths=(4,), seeds=6, seeds_per_cell=2),
        record=RecordSettings(quantities=("loss",)),
    )
    path = tmp_path / "a.zarr"
    whole = train_ensemble(study, path, points=POINTS).load()
    files = sorted(f for f in Path(path / "loss" / "c").rglob("*") if f.is_file())
    content = bytearray(files[1].read_bytes())
    content[9] ^= 2
    files[1].write_bytes(content)
    identical(train_ensemble(study, path, points=POINTS, progress=Telling()).drop_attrs(), whole.drop_attrs())
    assert messages == [
        "2 of 3 cells were already trained",
        "width 4, seeds 2 to 3: was done, but `loss` fails its checksum; it is trained again",
    ]
