"""Folders on a disk and at a URL behave alike; files in them are whole or not there."""

import errno
import uuid
from pathlib import Path

import pytest

from widthwise.errors import InputError
from widthwise.records.folder import LocalFolder, RemoteFolder, open_folder


@pytest.fixture(params=["disk", "url"])
def folder(request, tmp_path):
    place = tmp_path / "a.zarr" if request.param == "disk" else f"memory://{uuid.uuid4().hex}/a.zarr"
    return open_folder(place)


def test_what_is_written_is_read_until_it_is_removed(folder):
    assert folder.read("x/y.npz") is None and not folder.has("x/y.npz") and folder.files() == []
    folder.write("x/y.npz", b"one")
    folder.write("x/y.npz", b"two")
    folder.write("z", b"three")
    assert folder.read("x/y.npz") == b"two" and folder.has("x/y.npz") and not folder.has("x")
    assert folder.files() == ["z"] and folder.below("x").files() == ["y.npz"]
    folder.remove("x/y.npz")
    folder.remove("x/y.npz")
    assert folder.read("x/y.npz") is None


def test_neighbors_have_names_of_their_own(folder):
    neighbor = folder.beside(".", ".cells")
    neighbor.write("z", b"there")
    assert neighbor.name == f"{folder.name.removesuffix('a.zarr')}.a.zarr.cells"
    assert folder.read("z") is None and neighbor.read("z") == b"there"


def test_a_creation_appears_whole_or_not_at_all(folder):
    with pytest.raises(ZeroDivisionError), folder.creation("zarr.json") as made:
        made.mkdir()
        (made / "zarr.json").write_text("{}")
        1 / 0  # noqa: B018
    assert not folder.exists()
    with folder.creation("zarr.json") as made:
        (made / "c").mkdir(parents=True)
        (made / "zarr.json").write_text("{}")
        (made / "c" / "0").write_text("chunk")
        assert not folder.exists()
    assert folder.exists() and folder.read("c/0") == b"chunk"


def test_a_creation_at_a_url_ends_with_the_file_that_makes_it_exist(monkeypatch):
    written = []
    monkeypatch.setattr(RemoteFolder, "write", lambda self, file, content: written.append(file))
    with open_folder(f"memory://{uuid.uuid4().hex}").creation("zarr.json") as made:
        made.mkdir()
        for name in ("zzz", "zarr.json", "a"):
            (made / name).write_text("")
    assert sorted(written) == ["a", "zarr.json", "zzz"] and written[-1] == "zarr.json"


def test_a_full_disk_leaves_the_file_before_and_no_rest(tmp_path, monkeypatch):
    folder = LocalFolder(tmp_path)
    folder.write("z", b"before")

    def full(path, content):
        path.open("wb").close()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        folder.write("z", b"after")
    assert folder.read("z") == b"before" and [p.name for p in tmp_path.iterdir()] == ["z"]


def test_a_file_url_is_a_path():
    assert open_folder("file:///tmp/with%20blank") == LocalFolder(Path("/tmp/with blank"))


def test_a_url_with_a_slash_too_few_makes_no_folder_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for slip in ("s3:/bucket/x", Path("s3://bucket/x"), Path("a::s3://bucket")):
        with pytest.raises(InputError, match=r"a URL begins with .*s3:// and is given as text"):
            open_folder(slip)
    (tmp_path / "odd:").mkdir()
    assert open_folder("odd:/x").local == Path("odd:/x")
    assert open_folder("c:/x").local is not None and not list(tmp_path.glob("s3*"))


def test_a_place_that_does_not_answer_is_named_once():
    with pytest.raises(InputError) as caught:
        open_folder("ftp://localhost:1/x").read("z")
    assert str(caught.value).count("ftp://localhost:1/x") == 1
    assert "cannot be reached: " in str(caught.value) and "check the URL" in str(caught.value)


def test_a_url_that_nobody_knows_is_one_clear_error():
    with pytest.raises(InputError, match=r"nonsense://x cannot be used.*install"):
        open_folder("nonsense://x").read("z")
