"""Cells as tasks of a Ray cluster: the same arrays, whatever happens to its nodes."""

import json
import os
import socket
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from widthwise.data import Points
from widthwise.errors import InputError
from widthwise.study import EnsembleSettings, RecordSettings, RunSettings, Study, TrainingSettings
from widthwise.training import train_ensemble
from widthwise.training.executors import ray as executor

RAY = RunSettings(executor="ray")
STUDY = Study(
    name="clustered",
    training=TrainingSettings(steps=20_000),
    ensemble=EnsembleSettings(widths=(40, 60), seeds=8, seeds_per_cell=2),
    record=RecordSettings(steps="log"),
    run=RAY,
)
POINTS = Points(np.eye(12, 8) * 3.0, np.ones((12, 1)), train=9)


class Watching:
    """Progress that calls back when the first cell is done."""

    def __init__(self, then=lambda: None):
        self.trained, self.total, self.messages, self.then = 0, 0, [], then

    def start(self, label, total, parts=()):
        self.total = total

    def advance(self, amount=1):
        if not self.trained:
            self.then()
        self.trained += amount

    def say(self, message):
        self.messages.append(message)


def identical(first, second):
    assert set(first.variables) == set(second.variables)
    for name, variable in first.variables.items():
        assert variable.values.tobytes() == second.variables[name].values.tobytes(), name


def connect(address):
    """To a cluster and away from it."""
    with executor.cluster(RunSettings(executor="ray", address=address)):
        pass


def journal(path):
    """What the journal says of each cell."""
    files = (path.parent / f".{path.name}.cells").glob("*.json")
    return {file.stem: json.loads(file.read_text()) for file in files}


def test_records_in_memory_cannot_be_shared():
    pytest.importorskip("ray")
    with pytest.raises(InputError, match=r"`run.executor` = \"ray\".*give `out`"):
        train_ensemble(STUDY, points=POINTS)


def test_without_ray_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"widthwise\[ray\]"):
        train_ensemble(STUDY, tmp_path / "a.zarr", points=POINTS)


@pytest.mark.parametrize("scheme", ["", "ray://"])
@pytest.mark.parametrize("listening", [True, False])
def test_an_address_without_a_cluster_is_refused_soon_and_in_one_line(scheme, listening, capfd):
    """Also where some other program listens, and says nothing."""
    pytest.importorskip("ray")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"{scheme}127.0.0.1:{server.getsockname()[1]}"
        if not listening:
            server.close()
        began = time.monotonic()
        with pytest.raises(InputError, match=f"`run.address` = '{address}': no cluster answers") as caught:
            connect(address)
    assert time.monotonic() - began < 10
    assert "\n" not in str(caught.value) and capfd.readouterr() == ("", "")


def test_what_ray_writes_of_a_connection_that_fails_becomes_one_line(capfd, monkeypatch):
    ray = pytest.importorskip("ray")

    def failing(**options):
        os.write(2, b"[2026] E global_accessor.cc: cannot connect\n" * 20)
        raise ConnectionError("Could not connect to\n any\n cluster")

    monkeypatch.setattr(ray, "init", failing)
    with pytest.raises(InputError, match="no cluster answers there") as caught:
        connect("auto")
    assert "\n" not in str(caught.value) and capfd.readouterr() == ("", "")


def test_without_an_address_a_cluster_of_ones_own_is_started(monkeypatch):
    """Not that of RAY_ADDRESS, which belongs to something else."""
    ray, asked = pytest.importorskip("ray"), {}

    def init(**options):
        asked.update(options)
        raise RuntimeError("enough")

    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(InputError, match=r"no cluster starts on this machine \(enough\)"):
        connect(None)
    assert asked["address"] == "local"


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes of one processor each on this machine; workers find these tests' environment."""
    ray = pytest.importorskip("ray")
    utilities = pytest.importorskip("ray.cluster_utils")
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = utilities.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_node_that_dies_costs_its_running_cells_only(tmp_path, cluster):
    import ray

    lost_node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    path, running = tmp_path / "a.zarr", {}

    def lose_a_node():
        deadline = time.monotonic() + 120
        while len({entry["pid"] for entry in running.values()}) < 2:  # until both nodes work
            assert time.monotonic() < deadline
            running.clear()
            running.update({n: e for n, e in journal(path).items() if e["state"] == "running"})
            time.sleep(0.02)
        cluster.remove_node(lost_node, allow_graceful=False)

    progress = Watching(lose_a_node)
    found = train_ensemble(STUDY, path, points=POINTS, progress=progress).load()
    assert progress.trained == progress.total == 16, "each finished cell counts once"
    assert found["done"].values.all()
    after = journal(path)
    assert len(after) == 8 and all(entry["state"] == "done" for entry in after.values())
    moved = [name for name, entry in running.items() if after[name]["pid"] != entry["pid"]]
    assert len(moved) == 1, "the cell of the lost node, and no other, was trained by another worker"
    assert ray.is_initialized(), "a cluster that was there before stays"
    here = train_ensemble(replace(STUDY, run=RunSettings()), points=POINTS)
    identical(found.drop_attrs(), here.drop_attrs())
    assert not (tmp_path / "a.zarr.checkpoints").exists()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_what_a_worker_cannot_do_is_told_once_and_clearly(tmp_path, cluster):
    """The points that the driver saw are not those that the workers find. Twenty times, since to cancel tasks
    in the moment in which they end makes Ray abort the process that asked."""
    source = tmp_path / "points.npz"
    data = replace(STUDY.data, kind="arrays", path="points.npz")
    study = replace(STUDY, data=data, folder=str(tmp_path), training=TrainingSettings(steps=3))

    class Changing(Watching):
        def start(self, label, total, parts=()):
            np.savez(source, x_train=2 * POINTS.inputs, y_train=POINTS.targets)

    for attempt in range(20):
        np.savez(source, x_train=POINTS.inputs, y_train=POINTS.targets)
        with pytest.raises(InputError, match=r"width 40, seeds 0 to 1: .*the points differ"):
            train_ensemble(study, tmp_path / f"{attempt}.zarr", progress=Changing())
    with pytest.raises(InputError, match="no node has 64 processors"):
        train_ensemble(
            replace(STUDY, run=RunSettings(executor="ray", cpus=64.0)), tmp_path / "b.zarr", points=POINTS
        )
