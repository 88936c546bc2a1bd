"""Folders, studies and finished runs for the tests of the command line."""

import pytest
from commands import TINY, call


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def tiny(folder):
    """The path of a study that runs in seconds."""
    (folder / "tiny.toml").write_text(TINY)
    return "tiny.toml"


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of a complete run of the tiny study, and what the command said; to be read only."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(TINY)
    return folder, call("run", str(folder / "tiny.toml"), "--out", str(folder / "out"))
