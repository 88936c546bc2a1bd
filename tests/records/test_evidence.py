import json
import subprocess
import sys

import pytest

from widthwise.records.evidence import _commit, evidence


@pytest.fixture(autouse=True)
def forgotten():
    """What another test of this process has asked git."""
    _commit.cache_clear()


def test_evidence_is_json_with_every_version_known():
    found = evidence()
    assert json.loads(json.dumps(found)) == found
    assert "not installed" not in found["versions"].values()
    assert found["cpu_count"] >= 1


def test_the_commit_is_that_of_the_working_copy_and_tells_of_changes(tmp_path, monkeypatch):
    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout.strip()

    copy = tmp_path / "evidence.py"
    copy.write_text("original")
    monkeypatch.setattr(sys.modules["widthwise.records.evidence"], "__file__", str(copy))
    assert evidence()["commit"] is None
    git("init")
    _commit.cache_clear()
    assert evidence()["commit"] is None, "a repository around an installed package is not its own"
    git("add", "evidence.py")
    git("commit", "-m", "first")
    _commit.cache_clear()
    assert evidence()["commit"] == git("rev-parse", "HEAD")
    copy.write_text("changed")
    assert evidence()["commit"] == git("rev-parse", "HEAD"), "asked once a process: it runs what it loaded"
    _commit.cache_clear()
    assert evidence()["commit"] == git("rev-parse", "HEAD") + "-dirty"


def test_git_is_asked_once_a_process(monkeypatch):
    first = evidence()["commit"]
    monkeypatch.setattr("subprocess.run", lambda *_, **__: pytest.fail("asked again"))
    assert evidence()["commit"] == first


def test_evidence_never_fails_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert evidence()["commit"] is None
