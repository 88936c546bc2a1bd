"""More seeds and widths for a trained ensemble: the new networks are trained, no other, as if afresh."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_resume import Counting, identical

from widthwise.data import Points
from widthwise.records import load_parameters, open_records
from widthwise.study import (
    DataSettings,
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    RunSettings,
    Study,
    TheorySettings,
    TrainingSettings,
)
from widthwise.training import train_ensemble

FULL_BATCH = Study(
    name="extended",
    training=TrainingSettings(steps=6),
    ensemble=EnsembleSettings(widths=(5, 20), seeds=4),
)
POINTS = Points(np.eye(12, 8) * 3.0, np.ones((12, 1)), train=9)
STREAM = Study(
    name="extended",
    data=DataSettings(kind="synthetic", dimension=4, order="online", test=3),
    network=NetworkSettings(kind="mlp", base_width=5, parametrization="standard"),
    training=TrainingSettings(optimizer="sgd", steps=6, batch=4, learning_rate=0.01),
    ensemble=EnsembleSettings(widths=(5, 20), seeds=4),
    record=RecordSettings(parameters="final"),
    run=RunSettings(checkpoint_minutes=0.0),
)


def with_totals(study, **totals):
    return replace(study, ensemble=replace(study.ensemble, **totals))


def networks_trained(study, path, points):
    """How many networks a call trained; progress counts steps of each where they are streamed."""
    count = Counting()
    records = train_ensemble(study, path, points=points, progress=count)
    units = 1 if points is not None else study.training.steps - 1
    assert count.trained == count.total
    return count.trained / units, records


@pytest.mark.parametrize(
    ("study", "points", "totals", "new"),
    [
        (FULL_BATCH, POINTS, {"seeds": 8}, 8),
        (FULL_BATCH, POINTS, {"widths": (5, 10, 20)}, 4),
        (STREAM, None, {"widths": (10, 20, 5), "seeds": 6}, 10),
    ],
    ids=["seeds", "widths", "stream"],
)
def test_the_new_networks_are_trained_and_all_are_those_of_a_fresh_run(tmp_path, study, points, totals, new):
    train_ensemble(study, tmp_path / "a.zarr", points=points)
    larger = with_totals(study, **totals)
    count, records = networks_trained(larger, tmp_path / "a.zarr", points)
    assert count == new
    fresh = train_ensemble(larger, tmp_path / "b.zarr", points=points)
    identical(records.load(), fresh.load())
    if points is None:
        for path in ("a.zarr", "b.zarr"):
            assert load_parameters(tmp_path / path, 20, 5)


def test_fewer_are_returned_and_the_others_kept(tmp_path):
    train_ensemble(FULL_BATCH, tmp_path / "a.zarr", points=POINTS)
    fewer = with_totals(FULL_BATCH, widths=(20,), seeds=2)
    count = Counting()
    records = train_ensemble(fewer, tmp_path / "a.zarr", points=POINTS, progress=count)
    assert any("6 networks that this study does not ask for: they are kept" in m for m in count.messages)
    identical(records.load(), train_ensemble(fewer, tmp_path / "b.zarr", points=POINTS).load())
    assert open_records(tmp_path / "a.zarr")["done"].values.sum() == 8


def test_settings_that_training_does_not_read_refuse_no_store(tmp_path):
    train_ensemble(FULL_BATCH, tmp_path / "a.zarr", points=POINTS)
    theory = TheorySettings(sites=64, scramblings=3, seed=5, observables=("loss",), richness_scan=(0.5,))
    run = RunSettings(checkpoint_minutes=9.0, cpus=2.0)
    other = replace(FULL_BATCH, name="renamed", theory=theory, run=run)
    assert networks_trained(other, tmp_path / "a.zarr", POINTS)[0] == 0


CHILD = """if True:
    import os, signal, sys
    sys.path.insert(0, sys.argv[2])
    from test_extend import FULL_BATCH, POINTS, with_totals
    from test_resume import Counting
    from widthwise.training import train_ensemble
    last = int(sys.argv[3])
    class Killed(Counting):
        def advance(self, amount=1):
            super().advance(amount)
            if self.trained == last:
                os.kill(os.getpid(), signal.SIGKILL)
    train_ensemble(with_totals(FULL_BATCH, seeds=8), sys.argv[1], points=POINTS, progress=Killed())
"""


@pytest.mark.slow
def test_a_kill_amid_the_extension_loses_no_finished_cell(tmp_path, request):
    """In the second of two new cells."""
    path = tmp_path / "a.zarr"
    before = train_ensemble(FULL_BATCH, path, points=POINTS).load()
    command = [sys.executable, "-c", CHILD, str(path), str(request.path.parent), "8"]
    assert subprocess.run(command, check=False).returncode < 0
    identical(open_records(path).sel(seed=range(4)).load().drop_attrs(), before.drop_attrs())
    larger = with_totals(FULL_BATCH, seeds=8)
    count, records = networks_trained(larger, path, POINTS)
    assert count == 4
    identical(records.load(), train_ensemble(larger, tmp_path / "b.zarr", points=POINTS).load())
    assert json.loads(records.attrs["study"])["ensemble"]["seeds"] == 8


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_cluster_extends_a_store_too(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    train_ensemble(FULL_BATCH, tmp_path / "a.zarr", points=POINTS)
    larger = replace(with_totals(FULL_BATCH, widths=(5, 10, 20), seeds=6), run=RunSettings(executor="ray"))
    count, records = networks_trained(larger, tmp_path / "a.zarr", POINTS)
    assert count == 2 + 6 + 2
    here = replace(larger, run=RunSettings())
    fresh = train_ensemble(here, tmp_path / "b.zarr", points=POINTS)
    identical(records.load(), fresh.load())
