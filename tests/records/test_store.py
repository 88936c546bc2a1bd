"""The store at its worst moments. Nothing is trained here: a network's records are made from its name."""

import errno
import json
import resource
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr.storage._local as local_store

from widthwise.data import Points
from widthwise.errors import InputError, StoreError
from widthwise.records import Layout, layout, open_records, open_store
from widthwise.study import EnsembleSettings, NetworkSettings, RecordSettings, Study, TrainingSettings


def make_layout(targets=2.5, **ensemble):
    settings = {"widths": (4, 9), "seeds": 5, "seeds_per_cell": 2} | ensemble
    study = Study(
        name="small",
        network=NetworkSettings(hidden_layers=2),
        training=TrainingSettings(steps=7),
        ensemble=EnsembleSettings(**settings),
        record=RecordSettings(steps=(0, 3, 6), quantities=("prediction", "loss", "feature_kernel")),
    )
    points = Points(np.eye(4, 3), np.full((4, 2), targets), train=3)
    return Layout(study, points)


def made_up(plan, name, width, seeds):
    """Records of some networks, different for each (name, width, seed)."""
    shape = make_layout(**plan).arrays()[name].shape[2:]

    def one(seed):
        return np.random.default_rng(zlib.crc32(f"{name} {width} {seed}".encode())).standard_normal(shape)

    return np.stack([one(seed) for seed in seeds]).astype(np.float32)


def made_up_divergence(width):
    """None at the narrower width, so that whole chunks hold the fill value; some at the wider."""
    return np.full(64, -1, np.int32) if width == 4 else np.arange(64, dtype=np.int32)


def train(path, **plan):
    """What training does with a store; returns the cells it had to train."""
    trained = []
    with open_store(path, make_layout(**plan)) as store:
        for cell in store.pending():
            trained.append(cell)
            store.begin(cell)
            for start in range(cell.start, cell.stop, store.layout.seeds_at_once()):
                seeds = range(start, min(start + store.layout.seeds_at_once(), cell.stop))
                names = store.layout.study.record.quantities
                store.write(cell, start, {n: made_up(plan, n, cell.width, seeds) for n in names})
            store.finish(cell, made_up_divergence(cell.width)[cell.start : cell.stop])
    return trained


def contents(path):
    """Every array's bytes, through zarr and its checksums."""
    return {name: array.values.tobytes() for name, array in open_records(path).load().variables.items()}


def files(path):
    return {
        str(p.relative_to(path)): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in path.rglob("*")
        if p.is_file()
    }


@pytest.fixture
def complete(tmp_path):
    train(tmp_path / "complete.zarr")
    return tmp_path / "complete.zarr"


def test_pending_counts_what_is_done_and_what_is_to_do(complete):
    with open_store(complete, make_layout()) as store:
        cells = store.pending()
        assert (len(cells), store.finished, store.total) == (0, 6, 6)
        store.begin(lost := store.layout.cells()[4])
        assert store.pending() == [lost]
        assert (store.finished, store.total) == (5, 6)


class Crash(Exception):
    """Stands for the process ending between two instructions."""


def crash_at(monkeypatch, number, failure=Crash, keep_torn=True):
    """Let the write with this number stop half way, leaving its temporary file; returns a list of writes."""
    writes = []
    intact = local_store._put

    def put(path, value, exclusive=False):
        writes.append(path)
        if len(writes) - 1 == number:
            path.parent.mkdir(parents=True, exist_ok=True)
            if keep_torn:
                path.with_suffix(".0123.partial").write_bytes(value.to_bytes()[:3])
            raise failure()
        return intact(path, value, exclusive)

    monkeypatch.setattr(local_store, "_put", put)
    return writes


def count_writes(tmp_path, **plan):
    with pytest.MonkeyPatch.context() as patch:
        writes = crash_at(patch, -2)
        train(tmp_path / "counted.zarr", **plan)
    return len(writes)


def test_a_crash_at_any_write_resumes_to_the_same_arrays_and_trains_nothing_twice(tmp_path, monkeypatch):
    """At every write of a chunk, and at every sixth while the store is made."""
    plan = {"widths": (4,), "seeds": 3}
    train(tmp_path / "whole.zarr", **plan)
    expected = contents(tmp_path / "whole.zarr")
    total, chunks = count_writes(tmp_path, **plan), 2 * 5
    assert total > 40
    for number in [*range(0, total - chunks, 6), *range(total - chunks, total)]:
        path = tmp_path / f"{number}.zarr"
        with monkeypatch.context() as patch:
            crash_at(patch, number)
            with pytest.raises(Crash):
                train(path, **plan)
        assert path.exists() == (number >= total - chunks), f"write {number}"
        finished = open_records(path)["done"].values.copy() if path.exists() else np.zeros((1, 3), bool)
        trained = train(path, **plan)
        assert not any(finished[c.width_index, c.start : c.stop].any() for c in trained), f"write {number}"
        assert len(trained) == 2 - (finished[0, 0] + finished[0, 2]), f"write {number}"
        assert contents(path) == expected, f"write {number}"
        assert not list(tmp_path.rglob("*.partial")), f"write {number}"


def test_done_is_written_after_everything_else_of_its_cell(tmp_path, monkeypatch):
    writes = crash_at(monkeypatch, -2)
    train(tmp_path / "a.zarr")
    chunks = [p.relative_to(tmp_path).parts[1] for p in writes if "c" in p.relative_to(tmp_path).parts]
    cells = len(make_layout().cells())
    assert chunks[-5 * cells :] == (["prediction", "loss", "feature_kernel", "diverged_at", "done"] * cells)


@pytest.mark.parametrize(
    ("seeds", "seeds_per_cell", "write_bytes"), [(5, 2, 2**29), (5, 5, 1), (3, 8, 300), (6, 4, 1600)]
)
def test_no_file_belongs_to_two_cells(tmp_path, monkeypatch, seeds, seeds_per_cell, write_bytes):
    monkeypatch.setattr(layout, "WRITE_BYTES", write_bytes)
    monkeypatch.setattr(layout, "CHUNK_BYTES", 100)
    plan = {"seeds": seeds, "seeds_per_cell": seeds_per_cell}
    train(tmp_path / "a.zarr", **plan)
    with open_store(tmp_path / "a.zarr", make_layout(**plan)) as store:
        owned = [
            tmp_path / "a.zarr" / f
            for c in store.layout.cells()
            for name in store.layout.arrays()
            for f in store.files(name, c.width_index, range(c.start, c.stop))
        ]
    assert len(set(owned)) == len(owned)
    written = {f for name in make_layout().arrays() for f in (tmp_path / "a.zarr" / name / "c").rglob("*")}
    assert set(owned) == {f for f in written if f.is_file()}


def test_small_writes_and_chunks_hold_the_same_numbers(tmp_path, complete, monkeypatch):
    monkeypatch.setattr(layout, "WRITE_BYTES", 1)
    monkeypatch.setattr(layout, "CHUNK_BYTES", 100)
    train(tmp_path / "a.zarr")
    assert contents(tmp_path / "a.zarr") == contents(complete)
    assert len(files(tmp_path / "a.zarr")) > len(files(complete))


@pytest.mark.parametrize("damage", ["flipped", "truncated", "lost"])
@pytest.mark.parametrize(("name", "block"), [("loss", 0), ("loss", 2), ("diverged_at", 1), ("done", 2)])
def test_a_damaged_cell_is_found_and_trained_again(complete, name, block, damage):
    """The last block has one seed, the others two."""
    expected = contents(complete)
    file = sorted(f for f in (complete / name / "c" / "1").rglob("*") if f.is_file())[block]
    content = bytearray(file.read_bytes())
    content[1] ^= 0x10
    if damage == "lost":
        file.unlink()
    else:
        file.write_bytes(content if damage == "flipped" else content[:-2])
    if damage != "lost":
        with pytest.raises(ValueError, match=r"(?i)checksum|size|buffer"):
            open_records(complete)[name].load()
    trained = train(complete)
    assert [(cell.width, cell.start) for cell in trained] == [(9, 2 * block)]
    assert contents(complete) == expected


def test_a_cell_that_is_trained_again_is_not_called_done_meanwhile(complete, monkeypatch):
    next(f for f in (complete / "loss" / "c" / "1" / "1").rglob("*") if f.is_file()).write_bytes(b"")
    with monkeypatch.context() as patch:
        crash_at(patch, 0)
        with pytest.raises(Crash):
            train(complete)
    np.testing.assert_array_equal(open_records(complete)["done"].sel(width=9), [1, 1, 0, 0, 1])


def test_a_second_writer_is_refused_at_once(tmp_path, complete):
    with open_store(complete, make_layout()):
        began = time.perf_counter()
        with (
            pytest.raises(StoreError, match=r"written by another process.*--out"),
            open_store(complete, make_layout()),
        ):
            pass
        assert time.perf_counter() - began < 1
    train(complete)


@pytest.mark.slow
def test_the_lock_ends_with_its_process_even_if_that_is_killed(tmp_path, complete):
    script = """if True:
        import sys, time
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        import test_store as t
        with t.open_store(Path(sys.argv[1]), t.make_layout()):
            print("open", flush=True)
            time.sleep(60)
    """
    arguments = [sys.executable, "-c", script, str(complete), str(Path(__file__).parent)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "open\n"
            with pytest.raises(StoreError, match="another process"):
                train(complete)
        finally:
            holder.kill()
    assert train(complete) == []


def test_a_newer_schema_is_refused_and_nothing_is_touched(complete):
    metadata = complete / "zarr.json"
    metadata.write_text(metadata.read_text().replace('"schema_version": 1', '"schema_version": 2'))
    before = files(complete.parent)
    for attempt in (lambda: train(complete), lambda: open_records(complete)):
        with pytest.raises(StoreError, match=r"schema version 2.*up to 1.*newer widthwise"):
            attempt()
    assert files(complete.parent) == before


def test_another_study_is_refused_naming_what_differs(complete):
    before = files(complete)
    with pytest.raises(StoreError, match=r"`ensemble.seed` was 0 and is 6.*--out"):
        train(complete, seed=6)
    with pytest.raises(StoreError, match=r"`ensemble.seeds_per_cell` was 2 and is 4"):
        train(complete, seeds_per_cell=4)
    with pytest.raises(StoreError, match="the points differ"):
        train(complete, targets=2.6)
    assert files(complete) == before


@pytest.mark.parametrize("victim", ["zarr.json", "loss/zarr.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", '{"zarr_format": 3, "node_type": "array"}'])
def test_unreadable_metadata_is_one_clear_error(complete, victim, content):
    (complete / victim).write_text(content)
    with pytest.raises(StoreError, match=r"damaged|not written by|not a record store"):
        train(complete)
    if victim == "zarr.json":
        with pytest.raises(StoreError, match=r"damaged|not written by|not a record store"):
            open_records(complete)


def test_a_full_disk_says_how_much_is_safe_and_the_same_call_resumes(tmp_path, complete, monkeypatch):
    path = tmp_path / "full.zarr"
    total = count_writes(tmp_path)
    with monkeypatch.context() as patch:
        crash_at(patch, total - 12, lambda: OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(
            InputError, match=rf"{path}: the disk is full; 3 of 6 cells.*same command again, which"
        ):
            train(path)
    assert open_records(path)["done"].values.sum() == 5
    assert len(train(path)) == 3
    assert contents(path) == contents(complete)


def test_a_disk_full_from_the_start_leaves_nothing_behind(tmp_path, monkeypatch):
    crash_at(monkeypatch, 3, lambda: OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(InputError, match="the disk is full; nothing is trained yet"):
        train(tmp_path / "runs" / "full.zarr")
    assert [p.name for p in (tmp_path / "runs").iterdir()] == [".full.zarr.lock"]


def test_a_file_larger_than_the_system_allows_is_reported_by_the_system_itself(tmp_path, complete):
    """No simulation: the operating system refuses files above 9,000 bytes."""
    path, plan = tmp_path / "limited.zarr", {"seeds": 64, "seeds_per_cell": 32}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with open_store(path, make_layout(**plan)):
            resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, hard))
        with pytest.raises(InputError, match="largest allowed file size"):
            train(path, **plan)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not open_records(path)["done"].any()
    assert len(train(path, **plan)) == 4


def test_a_path_that_is_no_store_is_left_alone(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "precious").write_text("data")
    (tmp_path / "file").write_text("data")
    for name in ("folder", "file"):
        with pytest.raises(StoreError, match="not a record store"):
            train(tmp_path / name)
        with pytest.raises(StoreError, match="not a record store"):
            open_records(tmp_path / name)
    with pytest.raises(InputError, match="cannot write"):
        train(tmp_path / "file" / "below.zarr")
    assert (tmp_path / "folder" / "precious").read_text() == "data"


@pytest.mark.filterwarnings("error")
def test_a_store_opens_with_plain_xarray(complete):
    records = xr.open_zarr(complete)
    assert records["feature_kernel"].dims == ("width", "seed", "layer", "step", "point", "point_b")
    assert records["prediction"].dims == ("width", "seed", "step", "point", "output")
    assert records["loss"].dims == ("width", "seed", "step", "split")
    assert list(records["width"]) == [4, 9]
    assert list(records["step"]) == [0, 3, 6]
    assert list(records["layer"]) == [1, 2]
    assert list(records["split"].values) == ["train"] * 3 + ["test"]
    assert (records["target"].values == 2.5).all()
    assert records["done"].dtype == bool
    assert records["done"].all()
    assert json.loads(records.attrs["study"])["ensemble"]["seeds_per_cell"] == 2
    assert set(json.loads(records.attrs["evidence"])["versions"]) >= {"jax", "zarr", "python"}


def test_what_is_written_is_what_is_read(complete):
    records = open_records(complete)
    for name in ("prediction", "loss", "feature_kernel"):
        for width in (4, 9):
            np.testing.assert_array_equal(records[name].sel(width=width), made_up({}, name, width, range(5)))
    np.testing.assert_array_equal(records["diverged_at"], [[-1] * 5, [0, 1, 2, 3, 4]])


def test_a_store_in_memory_has_the_same_layout(complete):
    with open_store(None, make_layout()) as store:
        in_memory = xr.open_zarr(store.group.store, chunks=None)
    on_disk = open_records(complete)
    assert {n: (v.dims, v.shape, v.dtype) for n, v in in_memory.variables.items()} == {
        n: (v.dims, v.shape, v.dtype) for n, v in on_disk.variables.items()
    }
