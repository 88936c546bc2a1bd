"""The command line: whatever goes wrong is one clear message, and no file is harmed."""

import errno
import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from widthwise.cli.app import app
from widthwise.study import load_study

TINY = """
[study]
name = "tiny"
[data]
kind = "synthetic"
dimension = 3
train = 2
test = 1
[training]
steps = 4
learning_rate = 0.2
[theory]
sites = 64
fluctuation_sites = 64
scramblings = 2
[ensemble]
widths = [4, 8]
seeds = 3
"""
ARRAYS = """
[study]
name = "mine"
[data]
kind = "arrays"
path = "points.npz"
"""
GOOD = {"x_train": np.eye(3), "y_train": np.ones(3), "x_test": np.ones((1, 3)), "y_test": np.ones(1)}


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


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a complete run of the tiny study, and what the command said; to be read only."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.toml").write_text(TINY)
    return folder, call("run", str(folder / "tiny.toml"), "--out", str(folder / "out"))


def call(*arguments):
    """A command in this process."""
    return CliRunner().invoke(app, [*map(str, arguments)], prog_name="widthwise")


def contents(folder: Path) -> dict[str, str]:
    """A checksum of every file below a folder, lock files aside."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".lock")
    }


def assert_refused(result, *parts, status=2):
    """One message on standard error with all parts, nothing else said, no traceback."""
    assert result.exit_code == status, result.output
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    said = [line for line in result.stderr.splitlines() if line.startswith("widthwise: ")]
    assert len(said) == 1, result.stderr
    for part in parts:
        assert part in result.stderr


BAD_STUDIES = {
    "unknown key": ("[network]\nrichnes = 1.0", "did you mean `network.richness`?"),
    "unknown table": ("[netwrk]\nrichness = 1.0", "did you mean [network]?"),
    "wrong type": ("[training]\nsteps = '4'", '`training.steps` = "4": expected a whole number'),
    "zero points": ("[data]\ntrain = 0", "`data.train` = 0", "at least one training point"),
    "no widths": ("[ensemble]\nwidths = []", "`ensemble.widths` = []"),
    "duplicate widths": ("[ensemble]\nwidths = [8, 16, 8]", "`ensemble.widths`", "each width once"),
    "zero width": ("[ensemble]\nwidths = [0]", "`ensemble.widths` = [0]"),
    "negative width": ("[ensemble]\nwidths = [8, -8]", "`ensemble.widths` = [8, -8]"),
    "zero rate": ("[training]\nlearning_rate = 0.0", "`training.learning_rate` = 0.0", "positive"),
    "negative rate": ("[training]\nlearning_rate = -0.1", "`training.learning_rate` = -0.1", "positive"),
    "NaN rate": ("[training]\nlearning_rate = nan", "`training.learning_rate` = nan", "finite"),
    "too many digits": ("[data]\ntrain = 100000", "there are only 357 digits"),
    "classes for regression": (
        "[data]\nkind = 'synthetic'\n[training]\nloss = 'cross_entropy'",
        'training.loss = "mse"',
    ),
    "unreadable": ("[training\nsteps = 4", "bad.toml, line 3", "not readable as TOML"),
}


@pytest.mark.parametrize("command", ["run", "theory", "train"])
@pytest.mark.parametrize("case", BAD_STUDIES)
def test_bad_studies_are_refused_before_anything_is_written(folder, case, command):
    text, *parts = BAD_STUDIES[case]
    (folder / "bad.toml").write_text(f'[study]\nname = "bad"\n{text}\n')
    before = contents(folder)
    assert_refused(call(command, "bad.toml"), *parts)
    assert contents(folder) == before and not (folder / "runs").exists()


BAD_DATA = {
    "NaN": (GOOD | {"x_train": np.diag([1, np.nan, 1])}, "`x_train` is nan at index (1, 1)"),
    "zero points": (GOOD | {"x_train": np.zeros((0, 3)), "y_train": np.zeros(0)}, "`x_train` has no points"),
    "other dimension": (GOOD | {"x_test": np.ones((1, 5))}, "`x_test` has 5 dimensions but `x_train` has 3"),
    "missing array": ({"x_train": np.eye(3)}, "`y_train` is missing; the file has `x_train`"),
}


@pytest.mark.parametrize("command", ["run", "theory", "train"])
@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_are_refused_before_anything_is_written(folder, case, command):
    arrays, part = BAD_DATA[case]
    np.savez(folder / "points.npz", **arrays)
    (folder / "mine.toml").write_text(ARRAYS)
    before = contents(folder)
    assert_refused(call(command, "mine.toml"), part, "points.npz")
    assert contents(folder) == before and not (folder / "runs").exists()


def test_missing_files_are_named(folder):
    assert_refused(call("run", "absent.toml"), "absent.toml: there is no such study file")
    assert_refused(call("theory", "."), "is a folder; give the study file")
    assert_refused(call("report", "absent"), "absent is not a directory")
    (folder / "mine.toml").write_text(ARRAYS)
    assert_refused(call("train", "mine.toml"), "points.npz: there is no such file")


def test_bad_overrides_are_refused(tiny):
    assert_refused(call("run", tiny, "--set", "training.steps"), "give table.key=value")
    assert_refused(call("run", tiny, "--set", "training.stps=3"), "did you mean `training.steps`?")


def test_an_out_that_is_a_file_is_refused_and_kept(tiny, folder):
    (folder / "taken").write_text("precious")
    assert_refused(call("run", tiny, "--out", "taken"), "taken: is a file")
    assert_refused(call("run", tiny, "--out", "taken/deeper"), "taken")
    assert (folder / "taken").read_text() == "precious"


def test_a_study_file_in_the_way_is_kept(folder):
    (folder / "tiny.toml").write_text(TINY)
    (folder / "study.toml").write_text("# by hand\n" + TINY)
    assert_refused(call("run", "tiny.toml", "--out", "."), "study.toml: is in the way")
    assert (folder / "study.toml").read_text() == "# by hand\n" + TINY


@pytest.mark.parametrize(
    "arguments", [["walk"], ["run"], ["run", "a.toml", "--nonsense"], ["run", "a.toml", "b.toml"], ["report"]]
)
def test_wrong_calls_explain_themselves(arguments):
    result = call(*arguments)
    assert result.exit_code == 2 and "Usage: widthwise" in result.stderr and "Traceback" not in result.output


@pytest.mark.parametrize("command", ["run", "theory", "train", "report"])
def test_help_shows_an_example(command):
    result = call(command, "--help")
    assert result.exit_code == 0 and f"Example: widthwise {command} " in result.stdout


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert call("--version").stdout == f"widthwise {version('widthwise')}\n"


def test_a_run_writes_every_file_and_says_where(finished):
    folder, result = finished
    assert result.exit_code == 0, result.output
    names = {path.name for path in (folder / "out").iterdir() if not path.name.startswith(".")}
    assert names == {"study.toml", "theory.nc", "records.zarr", "report.html"}
    assert "joint test" in result.stdout and f"report: {folder / 'out' / 'report.html'}" in result.stdout
    assert "training: 6/6" in result.stderr, "plain lines where there is no terminal"
    assert load_study(folder / "out" / "study.toml") == load_study(folder / "tiny.toml")


def test_a_second_run_computes_nothing_again(finished):
    folder, _ = finished
    before = contents(folder)
    times = {
        path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*") if "records.zarr/" in str(path)
    }
    result = call("run", folder / "out" / "study.toml", "--out", folder / "out")
    assert result.exit_code == 0, result.output
    assert "theory was already solved" in result.stderr
    after = contents(folder)
    for changed in (before, after):
        changed.pop("out/report.html")
    assert after == before
    assert all(path.stat().st_mtime_ns == then for path, then in times.items())


def test_a_changed_theory_is_solved_again_and_the_records_stay(finished, tmp_path):
    folder, _ = finished
    out = copied(folder / "out", tmp_path / "out")
    before = contents(out)
    result = call("run", folder / "tiny.toml", "--out", out, "--set", "theory.sites=32", "--quiet")
    assert result.exit_code == 0, result.output
    assert (result.stdout, result.stderr) == ("", "")
    after = contents(out)
    assert after["theory.nc"] != before["theory.nc"]
    records = [name for name in before if name.startswith("records.zarr")]
    assert records and all(after[name] == before[name] for name in records)


@pytest.mark.parametrize("command", ["run", "theory", "train"])
def test_a_folder_of_another_study_is_refused_and_kept(finished, tmp_path, command):
    folder, _ = finished
    out = copied(folder / "out", tmp_path / "out")
    before = contents(out)
    result = call(command, folder / "tiny.toml", "--out", out, "--set", "training.learning_rate=0.3")
    assert_refused(result, "holds records of another study", "`training.learning_rate` was 0.2 and is 0.3")
    assert contents(out) == before


@pytest.mark.parametrize("command", ["run", "train", "report"])
def test_a_store_of_a_newer_schema_is_refused_and_kept(finished, tmp_path, command):
    folder, _ = finished
    out = copied(folder / "out", tmp_path / "out")
    metadata = json.loads((out / "records.zarr" / "zarr.json").read_text())
    metadata["attributes"]["schema_version"] = 99
    (out / "records.zarr" / "zarr.json").write_text(json.dumps(metadata))
    before = contents(out)
    arguments = [out] if command == "report" else [folder / "tiny.toml", "--out", out]
    assert_refused(call(command, *arguments), "schema version 99", "newer widthwise")
    assert contents(out) == before


def test_the_report_is_rebuilt_from_the_files(finished, tmp_path):
    folder, _ = finished
    out = copied(folder / "out", tmp_path / "out")
    (out / "report.html").unlink()
    result = call("report", out, "--quiet")
    assert result.exit_code == 0, result.output
    assert (out / "report.html").is_file() and result.output == ""


def test_a_diverging_rate_is_a_result(tiny, folder, recwarn, monkeypatch):
    monkeypatch.setattr(sys, "warnoptions", [])
    result = call("run", tiny, "--set", "training.learning_rate=1e6", "--set", "training.steps=40")
    assert result.exit_code == 0, (result.output, result.exception)
    assert "diverged" in result.stderr and "Traceback" not in result.output
    assert (folder / "runs" / "tiny" / "report.html").is_file()
    assert not list(recwarn), "overflows are said in words, not in warnings"


def test_a_relative_data_path_is_found_again_from_the_run(folder):
    (folder / "home").mkdir()
    np.savez(folder / "home" / "points.npz", **GOOD)
    (folder / "home" / "mine.toml").write_text(ARRAYS + TINY[TINY.index("[training]") :])
    assert call("train", "home/mine.toml", "--out", "out").exit_code == 0
    assert call("theory", "home/mine.toml", "--out", "out").exit_code == 0
    assert call("run", "home/mine.toml", "--out", "out").exit_code == 0
    result = call("run", "out/study.toml", "--out", "out")
    assert result.exit_code == 0, result.output
    assert "theory was already solved" in result.stderr and "2 of 2 cells" in result.stderr


ENDS = {
    "full disk": (
        OSError(errno.ENOSPC, "No space left on device", "theory.nc"),
        "No space left on device",
        2,
    ),
    "no permission": (
        PermissionError(errno.EACCES, "Permission denied", "theory.nc"),
        "Permission denied",
        2,
    ),
    "HDF5's full disk": (RuntimeError("errno = 28, 'No space left on device'"), "No space left on device", 2),
    "memory": (MemoryError("Unable to allocate 1 TiB"), "out of memory: Unable to allocate 1 TiB", 2),
    "device memory": (RuntimeError("RESOURCE_EXHAUSTED: 1 TiB"), "out of memory", 2),
    "Ctrl-C": (KeyboardInterrupt(), "interrupted: runs/tiny keeps no results yet", 130),
}


@pytest.mark.parametrize("case", ENDS)
def test_what_stops_a_stage_is_told_with_a_way_on(tiny, monkeypatch, case):
    error, part, status = ENDS[case]

    def fails(*_, **__):
        raise error

    monkeypatch.setattr("widthwise.cli.stages.solve_infinite_width", fails)
    assert_refused(call("theory", tiny, "--quiet"), part, status=status)


def test_faults_of_our_own_keep_their_traceback(tiny, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("a fault")

    monkeypatch.setattr("widthwise.cli.stages.solve_infinite_width", fails)
    assert isinstance(call("theory", tiny).exception, RuntimeError)


def test_an_interruption_says_what_is_saved(finished, tmp_path, monkeypatch):
    folder, _ = finished
    out = copied(folder / "out", tmp_path / "out")

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("widthwise.cli.stages.train_ensemble", interrupted)
    before = contents(out)
    result = call("run", folder / "tiny.toml", "--out", out, "--quiet")
    assert_refused(result, "theory.nc and report.html and 6 of 6 trained networks", "goes on", status=130)
    assert contents(out) == before


@pytest.fixture
def process():
    """Starts the command in a process of its own, after some Python; none survives the test."""
    children = []

    def start(*arguments, before=""):
        # A parent that ignores Ctrl-C, as a shell's background jobs do, would hand that down.
        listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        program = f"{listen}\n{before}\nfrom widthwise.cli import main\nmain()"
        command = [sys.executable, "-c", program, *arguments]
        children.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return children[-1]

    yield start
    for child in children:
        child.kill()
        child.wait()


@pytest.mark.slow
def test_a_disk_that_fills_up_is_told_and_a_later_run_goes_on(tiny, folder, process):
    # No file may grow beyond 2 kB: every larger write fails in the operating system, as on a full disk.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2048, resource.RLIM_INFINITY))"
    child = process("run", tiny, before=limit)
    output, errors = child.communicate(timeout=120)
    assert child.returncode == 2 and output == "" and "Traceback" not in errors, errors
    assert errors.count("widthwise: ") == 1 and "the same command" in errors
    assert not (folder / "runs" / "tiny" / "theory.nc").exists(), "nothing half written"
    assert call("run", tiny, "--quiet").exit_code == 0


@pytest.mark.slow
def test_ctrl_c_keeps_what_was_trained_and_the_same_command_goes_on(tiny, folder, process):
    many = ("train", tiny, "--set", "ensemble.seeds=400", "--set", "ensemble.seeds_per_cell=1")
    child = process(*many)
    chunks = folder / "runs" / "tiny" / "records.zarr" / "done" / "c" / "0"
    deadline = time.monotonic() + 60
    while not (chunks.is_dir() and len(list(chunks.iterdir())) > 3) and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130, errors
    assert "Traceback" not in errors and "of 800 trained networks" in errors
    again = process(*many)
    while "cells were already trained" not in (line := again.stderr.readline()) and line:
        pass
    assert "cells were already trained" in line


@pytest.mark.slow
def test_a_reader_that_goes_away_stops_nothing(tiny, folder, process):
    child = process("train", tiny)
    child.stdout.close()
    child.stderr.close()
    assert child.wait(timeout=120) == 0
    assert (folder / "runs" / "tiny" / "records.zarr").is_dir()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_standard_output_is_told(tiny):
    with Path("/dev/full").open("w") as full:
        child = subprocess.run(
            [sys.executable, "-c", "from widthwise.cli import main; main()", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert child.returncode != 0 and "No space left on device" in child.stderr


def copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.lock"))
    return target
