import json
import subprocess
import sys

from widthwise.records.evidence import evidence


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
    assert evidence()["commit"] is None, "a repository around an installed package is not its own"
    git("add", "evidence.py")
    git("commit", "-m", "first")
    assert evidence()["commit"] == git("rev-parse", "HEAD")
    copy.write_text("changed")
    assert evidence()["commit"] == git("rev-parse", "HEAD") + "-dirty"


def test_evidence_never_fails_without_git(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert evidence()["commit"] is None
