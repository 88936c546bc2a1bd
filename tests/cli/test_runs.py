"""Whole runs: what they write, what they do not do twice, and what they leave alone."""

import json
import sys

import numpy as np
import pytest
from commands import ARRAYS, GOOD, TINY, assert_refused, call, contents, copied

from widthwise.study import load_study


def test_a_run_writes_every_file_and_says_where(finished):
    folder, result = finished
    assert result.exit_code == 0, result.output
    names = {path.name for path in (folder / "out").iterdir() if not path.name.startswith(".")}
    assert names == {"study.toml", "theory.nc", "records.zarr", "verdict.json", "report.html"}
    assert "UNDERPOWERED:" in result.stdout and f"report: {folder / 'out' / 'report.html'}" in result.stdout
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
