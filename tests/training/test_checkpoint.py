"""Checkpoints, and cells that go on from them. The training here is a sum that can be interrupted."""

import errno
from pathlib import Path

import numpy as np
import pytest

from widthwise.data import Points
from widthwise.errors import InputError
from widthwise.records import Layout, layout, open_records, open_store
from widthwise.records.folder import LocalFolder
from widthwise.study import EnsembleSettings, RecordSettings, RunSettings, Study, TrainingSettings
from widthwise.training.cell import remove_checkpoints, train_cell
from widthwise.training.checkpoint import Checkpoint, checkpoint_folder
from widthwise.training.plan import Plan
from widthwise.training.run import Trajectory

STEPS = 12
POINTS = Points(np.eye(3), np.ones((3, 1)), train=3)


class Told:
    """Progress that remembers."""

    def __init__(self):
        self.networks, self.messages = 0, []

    def start(self, label, total, parts=()):
        pass

    def advance(self, amount=1):
        self.networks += amount

    def say(self, message):
        self.messages.append(message)


def make_plan(seeds=4, minutes=0.0):
    study = Study(
        name="sums",
        training=TrainingSettings(steps=STEPS),
        ensemble=EnsembleSettings(widths=(5,), seeds=seeds, seeds_per_cell=seeds),
        record=RecordSettings(quantities=("prediction", "loss")),
        run=RunSettings(checkpoint_minutes=minutes),
    )
    return Plan(Layout(study, POINTS), lambda width: Sums(), lambda width: "")


class Sums:
    """A training whose state is a running sum: records are right only if no step is lost or done twice.

    `stop_at` (seed, step) ends it there, once; `steps` counts what was done.
    """

    def __init__(self, stop_at=None):
        self.stop_at, self.steps = stop_at, []

    def __call__(self, seeds, checkpoint, progress):
        state = checkpoint.load() if checkpoint else None
        sums = np.zeros(len(seeds)) if state is None else state["sums"]
        rows = np.zeros((STEPS, len(seeds))) if state is None else state["rows"]
        for step in range(0 if state is None else int(state["step"]), STEPS):
            if (seeds.start, step) == self.stop_at:
                self.stop_at = None
                raise KeyboardInterrupt
            self.steps.append((seeds.start, step))
            sums = sums + np.array(seeds) * (step + 1)
            rows = rows.copy()
            rows[step] = sums
            if checkpoint:
                done = step + 1
                checkpoint.maybe_save(
                    lambda n=done, s=sums, r=rows: {"step": np.array(n), "sums": s, "rows": r}
                )
        progress.advance(len(seeds))
        loss = rows.T[:, :, None].astype(np.float32)
        prediction = np.broadcast_to(loss[:, :, :, None], (len(seeds), STEPS, 3, 1))
        return Trajectory({"prediction": prediction, "loss": loss}, np.full(len(seeds), -1))


def expected(seeds=4):
    totals = np.cumsum(np.arange(1, STEPS + 1))
    return (np.arange(seeds)[:, None] * totals).astype(np.float32)


def attempt(path, plan, trainer, progress):
    """What an executor does with the pending cells; returns whether it got to the end."""
    with open_store(path, plan.layout) as store:
        pending = store.pending()
        remove_checkpoints(store, pending)
        try:
            for cell in pending:
                train_cell(trainer, store, cell, progress)
        except KeyboardInterrupt:
            return False
        remove_checkpoints(store, [])
    return True


@pytest.fixture
def checkpoint(tmp_path):
    folder = checkpoint_folder(LocalFolder(tmp_path / "a.zarr"))
    return Checkpoint(folder, "training", make_plan().layout.cells()[0], "00000", 0.0, Told())


STATE = {"weights/0": np.arange(6.0).reshape(2, 3), "step": np.array(7), "key": np.array([1, 2], np.uint32)}


def test_a_state_comes_back_with_names_shapes_and_types(checkpoint):
    assert checkpoint.load() is None
    checkpoint.save(STATE)
    found = checkpoint.load()
    assert found.keys() == STATE.keys()
    for name, values in STATE.items():
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype
    checkpoint.remove()
    assert checkpoint.load() is None and not checkpoint.progress.messages


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "foreign", "another cell"])
def test_what_is_no_state_of_this_training_is_told_and_removed(checkpoint, damage):
    checkpoint.save(STATE)
    (file,) = checkpoint.folder.path.iterdir()
    content = file.read_bytes()
    match damage:
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case "bit":
            at = content.index(STATE["weights/0"].tobytes()) + 9
            file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        case "empty":
            file.write_bytes(b"")
        case "foreign":
            checkpoint.training = "other"
        case "another cell":
            other = Checkpoint(checkpoint.folder, "training", checkpoint.cell, "00002", 0.0)
            other.save(STATE)
            (checkpoint.folder.path / other.file).replace(file)
    assert checkpoint.load() is None
    (message,) = checkpoint.progress.messages
    assert str(file) in message and "is not used" in message
    assert not file.exists()


def test_checkpoints_are_as_far_apart_as_asked(checkpoint, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("widthwise.training.checkpoint.time.monotonic", lambda: now[0])
    checkpoint.minutes, checkpoint._saved = 2.0, now[0]
    saved = []
    for _ in range(10):
        now[0] += 45.0
        saved.append(checkpoint.maybe_save(lambda: STATE))
    assert saved == [False, False, True] * 3 + [False]


def test_a_full_disk_keeps_the_checkpoint_before(checkpoint, monkeypatch):
    checkpoint.save(STATE)

    def full(path, content):
        path.open("wb").close()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(InputError, match=r"disk is full; the checkpoint before it is safe.*resumes"):
            checkpoint.save({"step": np.array(8)})
    assert int(checkpoint.load()["step"]) == 7
    assert len(list(checkpoint.folder.path.iterdir())) == 1


def test_an_interrupted_cell_goes_on_where_it_was(tmp_path):
    path, plan, told = tmp_path / "a.zarr", make_plan(), Told()
    trainer = Sums(stop_at=(0, 8))
    assert not attempt(path, plan, trainer, told)
    assert attempt(path, plan, trainer, told)
    assert trainer.steps == [(0, step) for step in range(STEPS)], "no step twice"
    np.testing.assert_array_equal(open_records(path)["loss"].values[0, :, :, 0], expected())
    assert not checkpoint_folder(LocalFolder(path)).exists()
    assert not told.messages


def test_blocks_of_a_cell_that_are_recorded_are_not_trained_again(tmp_path, monkeypatch):
    """Two networks a write: the first block is done when the second is interrupted."""
    path, plan, told = tmp_path / "a.zarr", make_plan(), Told()
    monkeypatch.setattr(layout, "WRITE_BYTES", 400)
    assert [list(block) for block in plan.layout.blocks(plan.layout.cells()[0])] == [[0, 1], [2, 3]]
    trainer = Sums(stop_at=(2, 5))
    assert not attempt(path, plan, trainer, told)
    assert attempt(path, plan, trainer, told)
    assert trainer.steps == [(start, step) for start in (0, 2) for step in range(STEPS)]
    np.testing.assert_array_equal(open_records(path)["loss"].values[0, :, :, 0], expected())
    assert open_records(path)["done"].values.all() and told.networks == 6
    assert not checkpoint_folder(LocalFolder(path)).exists()


def test_a_recorded_block_that_was_damaged_since_is_trained_again(tmp_path, monkeypatch):
    path, plan = tmp_path / "a.zarr", make_plan()
    monkeypatch.setattr(layout, "WRITE_BYTES", 400)
    trainer = Sums(stop_at=(2, 5))
    assert not attempt(path, plan, trainer, Told())
    next(f for f in (path / "loss" / "c").rglob("*") if f.is_file()).write_bytes(b"")
    assert attempt(path, plan, trainer, Told())
    assert trainer.steps.count((0, 3)) == 2 and trainer.steps.count((2, 3)) == 1
    np.testing.assert_array_equal(open_records(path)["loss"].values[0, :, :, 0], expected())


def test_a_damaged_checkpoint_costs_its_cell_and_is_told(tmp_path):
    path, plan, told = tmp_path / "a.zarr", make_plan(), Told()
    trainer = Sums(stop_at=(0, 8))
    assert not attempt(path, plan, trainer, told)
    (file,) = (tmp_path / "a.zarr.checkpoints").iterdir()
    file.write_bytes(file.read_bytes()[:-40])
    assert attempt(path, plan, trainer, told)
    assert trainer.steps.count((0, 0)) == 2
    assert len(told.messages) == 1 and "is not used" in told.messages[0]
    np.testing.assert_array_equal(open_records(path)["loss"].values[0, :, :, 0], expected())
