"""More widths and seeds in a store that is there. Nothing is trained here: see `test_store.py`."""

import json
import shutil
import sys
import time
import uuid
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import zarr.storage._local as local_store

sys.path.insert(0, str(Path(__file__).parent))
from test_store import Crash, contents, files, make_layout, train

from widthwise.errors import InputError, StoreError
from widthwise.records import layout, open_records, open_store
from widthwise.records.folder import LocalFolder, RemoteFolder
from widthwise.records.journal import Entry, journal_folder
from widthwise.records.status import run_status

FEW, MANY = {"seeds": 4, "seeds_per_cell": 32}, {"seeds": 8, "seeds_per_cell": 32}


def networks(cells):
    return sorted((cell.width, seed) for cell in cells for seed in range(cell.start, cell.stop))


def new(widths, before, after):
    return [(width, seed) for width in widths for seed in range(before, after)]


def values(path, widths=(4, 9)):
    """All arrays, widths in the order given."""
    records = open_records(path).load().sel(width=list(widths))
    return {name: array.values.tobytes() for name, array in records.variables.items()}


@pytest.fixture(params=["disk", "url"])
def place(request, tmp_path):
    return tmp_path / "a.zarr" if request.param == "disk" else f"memory://{uuid.uuid4().hex}/a.zarr"


@pytest.mark.parametrize(
    ("before", "after", "block", "write_bytes"),
    [(4, 8, 32, 2**29), (5, 9, 2, 2**29), (3, 10, 4, 1600), (6, 7, 4, 1)],
)
def test_more_seeds_train_the_new_networks_and_no_other(
    tmp_path, place, monkeypatch, before, after, block, write_bytes
):
    monkeypatch.setattr(layout, "WRITE_BYTES", write_bytes)
    train(place, seeds=before, seeds_per_cell=block)
    trained = train(place, seeds=after, seeds_per_cell=block)
    assert networks(trained) == new((4, 9), before, after)
    train(tmp_path / "fresh.zarr", seeds=after, seeds_per_cell=block)
    assert contents(place) == contents(tmp_path / "fresh.zarr")
    assert train(place, seeds=after, seeds_per_cell=block) == []


def test_a_width_in_the_middle_trains_alone(tmp_path, place):
    train(place)
    assert networks(train(place, widths=(4, 6, 9))) == new((6,), 0, 5)
    train(tmp_path / "fresh.zarr", widths=(4, 6, 9))
    assert values(place, (4, 6, 9)) == contents(tmp_path / "fresh.zarr")
    assert networks(train(place, widths=(6, 5), seeds=6)) == [(5, s) for s in range(6)] + [(6, 5)]
    assert open_records(place)["width"].values.tolist() == [4, 9, 6, 5]
    assert open_records(place)["done"].sel(width=4).values.tolist() == [True] * 5 + [False]


def test_files_of_finished_cells_are_not_touched(tmp_path):
    train(tmp_path / "a.zarr", seeds=4)
    before = {
        n: f for n, f in files(tmp_path / "a.zarr").items() if n.split("/")[0] in make_layout().arrays()
    }
    chunks = {name: file for name, file in before.items() if "/c/" in name}
    assert len(chunks) == 5 * 4
    train(tmp_path / "a.zarr", seeds=8, widths=(9, 5, 4))
    after = files(tmp_path / "a.zarr")
    assert {name: after[name] for name in chunks} == chunks


def test_fewer_are_kept_and_nothing_is_trained(tmp_path):
    train(tmp_path / "a.zarr", **MANY)
    before = files(tmp_path / "a.zarr")
    assert train(tmp_path / "a.zarr", **FEW | {"widths": (9,)}) == []
    assert files(tmp_path / "a.zarr") == before
    with open_store(tmp_path / "a.zarr", make_layout(**FEW)) as store:
        assert store.unasked() == 8


def test_damage_among_more_networks_than_are_asked_for_is_mended_with_all_that_share_the_file(tmp_path):
    path = tmp_path / "a.zarr"
    train(path, **MANY)
    expected = contents(path)
    next(f for f in (path / "loss" / "c" / "1").rglob("*") if f.is_file()).write_bytes(b"x")
    assert networks(train(path, **FEW)) == new((9,), 0, 8)
    assert contents(path) == expected


def die_at(patch, number):
    """Let the write with this number fail, whoever writes; returns a list of writes."""
    writes = []

    def counted(intact):
        def write(*arguments, **options):
            writes.append(arguments)
            if len(writes) - 1 == number:
                raise Crash
            return intact(*arguments, **options)

        return write

    patch.setattr(LocalFolder, "write", counted(LocalFolder.write))
    patch.setattr(local_store, "_put", counted(local_store._put))
    return writes


@pytest.mark.parametrize(("plan", "stride"), [(MANY, 1), (FEW | {"widths": (4, 6, 9)}, 3)])
def test_a_crash_at_any_write_of_an_extension_loses_nothing(tmp_path, monkeypatch, plan, stride):
    widths = plan.get("widths", (4, 9))
    train(tmp_path / "fresh.zarr", **plan)
    expected = values(tmp_path / "fresh.zarr", widths)
    train(tmp_path / "before.zarr", **FEW)
    before = contents(tmp_path / "before.zarr")
    shutil.copytree(tmp_path / "before.zarr", tmp_path / "counted.zarr")
    with monkeypatch.context() as patch:
        writes = die_at(patch, -1)
        train(tmp_path / "counted.zarr", **plan)
        total = len(writes)
    assert total >= 7 + 2 + 1 + 5
    for number in range(0, total, stride):
        path = tmp_path / f"{number}.zarr"
        shutil.copytree(tmp_path / "before.zarr", path)
        with monkeypatch.context() as patch:
            die_at(patch, number)
            with pytest.raises(Crash):
                train(path, **plan)
        records = open_records(path).load()
        if number < 10:
            assert contents(path) == before, "readers find it as it was"
        assert records["done"].values[:2, :4].all(), "what was finished is"
        done = records["done"].to_series()
        trained = train(path, **plan)
        assert not set(done[done].index) & set(networks(trained)), f"write {number}"
        assert values(path, widths) == expected, f"write {number}"


def test_after_an_extension_that_was_cut_short_the_smaller_study_goes_on(tmp_path, monkeypatch):
    path = tmp_path / "a.zarr"
    train(path, **FEW)
    expected = contents(path)

    def stop(folder, file, content, intact=LocalFolder.write):
        if file == "zarr.json":
            raise Crash
        intact(folder, file, content)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFolder, "write", stop)
        with pytest.raises(Crash):
            train(path, **MANY | {"widths": (4, 6, 9)})
    assert train(path, **FEW) == []
    assert contents(path) == expected
    train(path, **FEW | {"widths": (4, 7, 9)})
    assert open_records(path)["width"].values.tolist() == [4, 9, 7]


def test_a_place_that_cannot_be_written_is_named_and_nothing_is_lost(monkeypatch, tmp_path):
    train(tmp_path / "a.zarr", **FEW)
    expected = contents(tmp_path / "a.zarr")

    def full(folder, file, content):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(LocalFolder, "write", full)
        with pytest.raises(InputError, match="the disk is full; all that was trained is safe"):
            train(tmp_path / "a.zarr", **MANY)
    assert contents(tmp_path / "a.zarr") == expected


def test_a_store_of_before_hashes_left_out_the_totals_is_extended_too(tmp_path):
    """Its hash has the widths and the number of seeds in it."""
    path, plan = tmp_path / "a.zarr", make_layout(**FEW)
    train(path, **FEW)
    text = (path / "zarr.json").read_text()
    old = plan.training_hash({"widths": (4, 9), "seeds": 4})
    (path / "zarr.json").write_text(text.replace(plan.training_hash(), old))
    assert train(path, **FEW) == []
    assert networks(train(path, **MANY)) == new((4, 9), 4, 8)
    assert open_records(path).attrs["training_hash"] == make_layout(**MANY).training_hash()


def test_the_store_says_what_it_holds(tmp_path, place):
    train(place, **FEW)
    train(place, **MANY | {"widths": (6, 9)})
    ensemble = json.loads(open_records(place).attrs["study"])["ensemble"]
    assert (ensemble["widths"], ensemble["seeds"]) == ([4, 9, 6], 8)


def test_status_tells_the_finished_part_of_a_block_from_the_new_one(tmp_path):
    train(tmp_path / "a.zarr", **FEW)
    status = run_status(make_layout(**MANY, widths=(9, 5)).study, tmp_path / "a.zarr")
    assert [(str(each.cell), each.state) for each in status.cells] == [
        ("width 9, seeds 0 to 3", "done"),
        ("width 9, seeds 4 to 7", "waiting"),
        ("width 5, seeds 0 to 7", "waiting"),
    ]


def test_time_left_counts_the_parts_in_which_a_block_was_trained(tmp_path):
    path, folder = tmp_path / "a.zarr", journal_folder(LocalFolder(tmp_path / "a.zarr"))
    train(path, widths=(4,), **FEW)
    train(path, widths=(4,), **FEW | {"seeds": 6})
    now = time.time()
    for name, seconds in (("width_00004_seeds_00000_00003", 40.0), ("width_00004_seeds_00004_00005", 20.0)):
        entry = Entry("done", make_layout(**FEW).training_hash(), now, now, seconds, "here", 1)
        folder.write(f"{name}.json", json.dumps(asdict(entry)).encode())
    status = run_status(make_layout(widths=(4,), **MANY).study, path)
    assert [each.seconds for each in status.cells] == [60.0, 0.0]
    assert status.seconds_left == pytest.approx(2 * 10.0)


def test_remote_folders_are_extended_by_whole_files_only(monkeypatch):
    url, written = f"memory://{uuid.uuid4().hex}/a.zarr", []
    train(url, **FEW)
    intact = RemoteFolder.write
    with monkeypatch.context() as patch:
        patch.setattr(RemoteFolder, "write", lambda f, name, c: (written.append(name), intact(f, name, c)))
        with open_store(url, make_layout(**MANY)):
            pass
    assert written[-1] == "zarr.json" and set(written[:-1]) == {
        f"{name}/zarr.json" for name in (*make_layout().arrays(), "width", "seed")
    }
    np.testing.assert_array_equal(open_records(url)["done"].values[:, 4:], False)


WRONG_TYPE = '{"ensemble": {"widths": [4, 9], "seeds": "4"}}'


@pytest.mark.parametrize(
    "study", [7, [1], None, "null", '"x"', "[" * 100_000, '{"ensemble": 3}', WRONG_TYPE], ids=range(8)
)
def test_a_store_whose_study_is_none_is_refused_and_left_alone(tmp_path, study):
    with open_store(tmp_path / "a.zarr", make_layout(**FEW)):
        pass
    metadata = tmp_path / "a.zarr" / "zarr.json"
    content = json.loads(metadata.read_text())
    content["attributes"]["study"] = study
    metadata.write_text(json.dumps(content))
    before = files(tmp_path / "a.zarr")
    for attempt in (
        lambda: train(tmp_path / "a.zarr", **MANY),
        lambda: run_status(make_layout(**MANY).study, tmp_path / "a.zarr"),
    ):
        with pytest.raises(StoreError, match="was not written by `widthwise train`, or is damaged"):
            attempt()
    assert files(tmp_path / "a.zarr") == before
