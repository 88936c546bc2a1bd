"""Whatever ends a command early: one message, a way on, and no file harmed."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import assert_refused, call, contents, copied

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


def test_a_device_that_is_not_there_is_told_and_other_faults_keep_their_traceback(tiny, monkeypatch):
    def fails(*_, **__):
        raise AssertionError

    monkeypatch.setattr("widthwise.cli.stages.solve_infinite_width", fails)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert isinstance(call("theory", tiny, "--quiet").exception, AssertionError)
    monkeypatch.setenv("JAX_PLATFORMS", "moon")
    monkeypatch.setattr("jax.devices", lambda: 1 / 0)
    assert_refused(call("theory", tiny, "--quiet"), "JAX_PLATFORMS=moon: JAX finds no such device here")


def test_ctrl_c_amid_a_callback_that_cannot_raise_it_is_heard_all_the_same(tiny, monkeypatch):
    """JAX has such a callback of the garbage collector, where a good share of a run's first seconds goes."""

    class Deaf:
        def __del__(self):
            raise KeyboardInterrupt

    def works_on(*_, **__):
        Deaf()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            time.sleep(0.01)

    monkeypatch.setattr("widthwise.cli.stages.solve_infinite_width", works_on)
    hook = sys.unraisablehook
    # What a shell starts in the background ignores Ctrl-C.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert_refused(call("theory", tiny, "--quiet"), "interrupted: ", status=130)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert sys.unraisablehook is hook


def test_training_starts_without_theory_and_report():
    program = (
        "import sys, widthwise.training, widthwise.cli.app, widthwise.cli.run_folder; print(*sys.modules)"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    ).stdout
    assert "widthwise.training.train" in loaded.split()
    assert not {"matplotlib", "plotly", "widthwise.fluctuations", "widthwise.report"} & set(loaded.split())


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
def test_a_reader_that_goes_away_stops_nothing_and_programs_are_kept(tiny, folder, process, monkeypatch):
    # Compiled as users have it, without what these tests set.
    for name in (
        "XLA_FLAGS",
        "JAX_DISABLE_MOST_OPTIMIZATIONS",
        *(name for name in os.environ if "CACHE" in name),
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    child = process("train", tiny)
    child.stdout.close()
    child.stderr.close()
    assert child.wait(timeout=120) == 0
    assert (folder / "runs" / "tiny" / "records.zarr").is_dir()
    assert any((folder / "cache" / "widthwise" / "compiled").iterdir())


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
