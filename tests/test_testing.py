"""The assertion for test suites, as a user's suite calls it."""

import subprocess
import sys

import pytest
from audited import records_of, write_store

import widthwise as ww


def test_a_correct_ensemble_passes_and_its_audit_is_returned():
    found = ww.testing.assert_width_consistent(records_of("correct"), claims=["scales"])
    assert isinstance(found, ww.Audit) and found.verdict == "consistent"


def test_a_fault_fails_with_the_table_and_the_tensor():
    with pytest.raises(AssertionError) as caught:
        ww.testing.assert_width_consistent(records_of("faulty"), claims="scales")
    message = str(caught.value)
    assert "INCONSISTENT" in message and "tensor embedding, size of updates (RMS)" in message
    assert "divide its learning rate by width / base width" in message.replace("\n    ", " ")


def test_what_could_not_tell_passes_only_if_it_may():
    few = records_of("few")
    assert ww.testing.assert_width_consistent(few, claims=["predictions"]).verdict == "underpowered"
    with pytest.raises(AssertionError, match="UNDERPOWERED"):
        ww.testing.assert_width_consistent(few, claims=["predictions"], allow_underpowered=False)


def test_what_tests_nothing_fails():
    with pytest.raises(AssertionError, match="Nothing could be tested"):
        ww.testing.assert_width_consistent(records_of("correct"), claims=["spectra"])


def test_paths_are_opened(tmp_path):
    path = write_store(records_of("correct"), tmp_path / "records.zarr")
    for given in (path, str(path), [path]):
        assert ww.testing.assert_width_consistent(given, claims=["scales"]).rows


def test_what_is_no_ensemble_is_refused():
    with pytest.raises(ww.InputError, match="does not exist"):
        ww.testing.assert_width_consistent("nowhere")
    with pytest.raises(ww.InputError, match="alpha"):
        ww.testing.assert_width_consistent(records_of("correct"), alpha=0.9)


def test_a_plain_suite_shows_the_table(tmp_path):
    write_store(records_of("faulty"), tmp_path / "records.zarr")
    (tmp_path / "test_mine.py").write_text(
        "import widthwise as ww\n\n"
        "def test_width():\n"
        "    ww.testing.assert_width_consistent('records.zarr', alpha=0.001, claims=['scales'])\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "tensor embedding, size of updates (RMS)" in done.stdout and "testing.py" not in done.stdout
