"""What is said of a run while others work on it, and after they died."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_store import make_layout, train

from widthwise.errors import StoreError
from widthwise.records import journal, open_store
from widthwise.records.folder import LocalFolder
from widthwise.records.journal import Entry, journal_folder, noted, read_entry
from widthwise.records.status import run_status


@pytest.fixture
def empty(tmp_path):
    with open_store(tmp_path / "a.zarr", make_layout()):
        pass
    return tmp_path / "a.zarr"


def layout_and_folder(path):
    return make_layout(), LocalFolder(path)


def states(path):
    return [each.state for each in run_status(make_layout().study, path).cells]


def write_entry(path, number, **changes):
    """A journal entry as another process would leave it."""
    layout, now = make_layout(), time.time()
    values = {
        "state": "running", "identity": layout.training_hash(), "started": now - 60, "heartbeat": now - 1,
        "seconds": 59.0, "host": "elsewhere", "pid": 1, "message": "",
    }  # fmt: skip
    content = json.dumps(values | changes).encode()
    journal_folder(LocalFolder(path)).write(f"{layout.cells()[number].name}.json", content)


def test_before_there_is_a_store_every_cell_waits(tmp_path):
    status = run_status(make_layout().study, tmp_path / "none.zarr")
    assert [each.state for each in status.cells] == ["waiting"] * 6
    assert status.seconds_left is None
    assert list(tmp_path.iterdir()) == [], "asking writes nothing"


def test_every_state_is_told(empty):
    layout, folder = layout_and_folder(empty)
    cells, identity = layout.cells(), layout.training_hash()
    with pytest.raises(ValueError, match="nan"), noted(folder, cells[0], identity):
        raise ValueError("nan in the data")
    with pytest.raises(KeyboardInterrupt), noted(folder, cells[1], identity):
        raise KeyboardInterrupt
    with noted(folder, cells[2], identity):
        assert states(empty) == ["failed", "interrupted", "running", "waiting", "waiting", "waiting"]
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    write_entry(empty, 3, host=journal.socket.gethostname(), pid=ended.pid)
    write_entry(empty, 4, heartbeat=time.time() - 2 * journal.SILENT_SECONDS)
    write_entry(empty, 5)
    assert states(empty) == ["failed", "interrupted", "waiting", "interrupted", "interrupted", "running"]
    failed = run_status(layout.study, empty).cells[0]
    assert failed.message == "nan in the data"
    assert str(os.getpid()) in failed.where
    train(empty)
    assert states(empty) == ["done"] * 5 + ["running"], "somebody trains it again"


def test_journals_of_another_training_and_broken_ones_count_for_nothing(empty):
    write_entry(empty, 0, identity="another")
    write_entry(empty, 1, started="yesterday")
    for number, content in ((3, b"[" * 100_000), (4, b"7")):
        journal_folder(LocalFolder(empty)).write(f"{make_layout().cells()[number].name}.json", content)
    write_entry(empty, 5, pid="x")
    journal_folder(LocalFolder(empty)).write(f"{make_layout().cells()[2].name}.json", b"{")
    assert states(empty) == ["waiting"] * 6


@pytest.mark.parametrize("ahead", [1e4, 1e30])
def test_a_heartbeat_in_the_future_is_that_of_no_running_cell(empty, ahead):
    write_entry(empty, 0, heartbeat=time.time() + ahead)
    assert states(empty)[0] == "interrupted"
    write_entry(empty, 0, heartbeat=time.time() + journal.SILENT_SECONDS / 2)
    assert states(empty)[0] == "running", "clocks of two machines"


def test_the_heart_beats_while_a_cell_is_trained(empty, monkeypatch):
    monkeypatch.setattr(journal, "HEARTBEAT_SECONDS", 0.01)
    layout, folder = layout_and_folder(empty)
    cell, identity = layout.cells()[0], layout.training_hash()
    with noted(folder, cell, identity):
        first = read_entry(journal_folder(folder), cell, identity)
        deadline = time.monotonic() + 30
        while read_entry(journal_folder(folder), cell, identity) == first:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    entry = read_entry(journal_folder(folder), cell, identity)
    assert isinstance(entry, Entry) and entry.state == "done"


def test_seconds_of_earlier_attempts_count_if_their_work_does(empty):
    layout, folder = layout_and_folder(empty)
    for resumed, least in ((True, 59.0), (False, 0.0)):
        write_entry(empty, 0)
        with noted(folder, layout.cells()[0], layout.training_hash(), resumed=resumed):
            pass
        entry = read_entry(journal_folder(folder), layout.cells()[0], layout.training_hash())
        assert least <= entry.seconds < least + 30


def test_time_left_is_what_waits_over_how_many_are_trained_at_once(tmp_path, empty):
    """Cells of 2, 2 and 1 networks of each width; at width 4 a network took 10 s."""
    with open_store(empty, make_layout()) as store:
        for cell in store.layout.cells()[:3]:
            store.finish(cell, np.full(cell.stop - cell.start, -1))
    for number in range(3):
        write_entry(empty, number, state="done", seconds=10.0 * (1 if number == 2 else 2))
    wide = 10.0 * (9 / 4) ** 2
    assert run_status(make_layout().study, empty).seconds_left == pytest.approx(5 * wide)
    write_entry(empty, 3, seconds=7.0)
    write_entry(empty, 4, seconds=9.0)
    left = run_status(make_layout().study, empty)
    assert [left.count(state) for state in ("done", "running", "waiting")] == [3, 2, 1]
    assert left.seconds_left == pytest.approx((5 * wide - 16 - 2) / 2, abs=2)
    assert json.loads(json.dumps(left.as_dict()))["running"] == 2


def test_another_study_is_refused_but_a_moved_one_is_not(empty):
    with pytest.raises(StoreError, match=r"`ensemble.seed` was 0 and is 6"):
        run_status(make_layout(seed=6).study, empty)
    attributes = json.loads((empty / "zarr.json").read_text())
    study = json.loads(attributes["attributes"]["study"])
    study["data"]["path"] = "elsewhere"
    attributes["attributes"]["study"] = json.dumps(study)
    (empty / "zarr.json").write_text(json.dumps(attributes))
    assert states(empty) == ["waiting"] * 6


def test_a_damaged_mark_counts_as_not_done(empty):
    train(empty)
    next(f for f in (empty / "done" / "c").rglob("*") if f.is_file()).write_bytes(b"x")
    assert "done" not in np.unique(states(empty)).tolist()
