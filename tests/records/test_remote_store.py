"""A store at a URL holds, resumes and mends the same as one on a disk. Nothing is trained here."""

import sys
import uuid
from pathlib import Path

import fsspec
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_store import contents, made_up, make_layout, train

from widthwise.errors import StoreError
from widthwise.records import open_records, open_store
from widthwise.records.folder import RemoteFolder


@pytest.fixture
def url():
    return f"memory://{uuid.uuid4().hex}/runs/a.zarr"


def chunks(url):
    """Every chunk's path in the file system."""
    return [path for path in fsspec.filesystem("memory").find(url.removeprefix("memory:/")) if "/c/" in path]


def test_a_store_at_a_url_holds_the_same_arrays(tmp_path, url):
    assert len(train(url)) == 6
    train(tmp_path / "a.zarr")
    assert contents(url) == contents(tmp_path / "a.zarr")
    assert train(url) == []


def test_a_lost_and_a_damaged_chunk_at_a_url_are_found_named_and_mended(url):
    train(url)
    expected, files = contents(url), fsspec.filesystem("memory")
    files.rm_file(next(path for path in chunks(url) if "loss/c/1/0" in path))
    victim = next(path for path in chunks(url) if "prediction/c/0/1" in path)
    changed = bytearray(files.cat_file(victim))
    changed[1] ^= 4
    files.pipe_file(victim, bytes(changed))
    with open_store(url, make_layout()) as store:
        store.pending()
        told = {str(cell): fault for cell, fault in store.damage.items()}
    assert told.keys() == {"width 4, seeds 2 to 3", "width 9, seeds 0 to 1"}
    assert told["width 4, seeds 2 to 3"] == "`prediction` fails its checksum"
    assert "`loss` lost a file" in told["width 9, seeds 0 to 1"]
    assert len(train(url)) == 2
    assert contents(url) == expected


def test_another_study_at_a_url_is_refused(url):
    train(url)
    with pytest.raises(StoreError, match=r"`ensemble.seed` was 0 and is 6"):
        train(url, seed=6)
    with pytest.raises(StoreError, match=r"memory://.* does not exist"):
        open_records(url + "x")


def test_a_store_whose_creation_stopped_half_way_is_made_again(url, monkeypatch):
    intact = RemoteFolder.write

    def stopping(self, file, content):
        if file == "zarr.json":
            raise ConnectionError("the network is down")
        intact(self, file, content)

    with monkeypatch.context() as patch:
        patch.setattr(RemoteFolder, "write", stopping)
        with pytest.raises(ValueError, match="network is down"):
            train(url)
    assert len(train(url)) == 6


def test_networks_of_one_block_are_kept_and_the_others_taken_back(tmp_path):
    plan = {"seeds": 4, "seeds_per_cell": 4}
    train(tmp_path / "a.zarr", **plan)
    with open_store(tmp_path / "a.zarr", make_layout(**plan)) as store:
        cell = store.layout.cells()[0]
        assert store.holds(cell, range(0, 4))
        store.begin(cell, kept=[0])
        assert store.holds(cell, range(0, 4)), "the only block is kept"
        assert store.pending() == [cell]
        store.begin(cell)
        assert not store.holds(cell, range(0, 4))
    np.testing.assert_array_equal(
        open_records(tmp_path / "a.zarr")["loss"].sel(width=9), made_up(plan, "loss", 9, range(4))
    )
