"""What `widthwise theory` says and leaves: numbers, kernels on a terminal, a report."""

import io
import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from commands import TINY, assert_refused, call, contents, copied
from synthetic_run import Truth, make_theory

from widthwise.cli.kernel_squares import MOST_KERNELS, MOST_POINTS, render_kernels
from widthwise.cli.stages import theory_summary
from widthwise.cli.summary import render_theory
from widthwise.errors import InputError
from widthwise.observables import write_theory
from widthwise.study import load_study

TRUTH = Truth(steps=7, train=4, test=2, layers=2)
SHADED = re.compile("[░▒▓█]")


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Standard output becomes a terminal of so many columns."""

    def become(columns):
        monkeypatch.setattr(sys, "stdout", Terminal())
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm")

    return become


def plain(text):
    """Without colors."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def rows_of(text):
    """The lines of the first table: (part, step), and the rest of the line."""
    found, part = {}, ""
    for line in text.split("width from which")[0].splitlines()[2:]:
        match = re.match(r"(?:(\w.*?) {2,})? *(\d+) +(.*)", line)
        if match:
            part = match[1] or part
            found[part.strip(), int(match[2])] = match[3]
    return found


def test_every_observable_is_there_at_its_first_middle_and_last_step():
    rows = rows_of(render_theory(make_theory(TRUTH), [32, 64], 0.01))
    parts = [
        "prediction, train", "prediction, test", "loss, train", "loss, test",
        "feature_kernel, layer 1", "feature_kernel, layer 2",
        "gradient_kernel, layer 1", "gradient_kernel, layer 2", "tangent_kernel",
    ]  # fmt: skip
    assert list(rows) == [(part, step) for part in parts for step in (0, 3, 6)]


def test_a_cell_is_mean_spread_and_shift_at_its_width():
    theory = make_theory(TRUTH)
    rows = rows_of(render_theory(theory, [32, 64], 0.01))
    for width, column in ((32, 0), (64, 1)):
        value, variance, shift = (
            float(theory[f"loss{s}"].isel(step=3, split=1)) for s in ("", "_variance", "_shift")
        )
        given = re.findall(r"([\d.e+-]+) ± +([\d.e+-]+) +\(([\d.e+-]+)\)", rows["loss, test", 3])[column]
        expected = (value + shift / width, np.sqrt(variance / width), shift / width)
        for text, number in zip(given, expected, strict=True):
            assert float(text) == pytest.approx(number, rel=0.05)
        assert float(given[0]) == pytest.approx(expected[0], rel=0.005)
    assert rows["loss, test", 3].split()[0] == f"{value:.4g}"


def test_predictions_and_kernels_are_root_mean_squares():
    theory = make_theory(TRUTH)
    rows = rows_of(render_theory(theory, [32], 0.01))
    points = theory["prediction"].isel(step=6, point=slice(4, 6)).to_numpy()
    assert rows["prediction, test", 6].split()[0] == f"{np.sqrt((points**2).mean()):.4g}"
    kernel = theory["feature_kernel"].isel(step=6, layer=1).to_numpy()[np.triu_indices(6)]
    assert rows["feature_kernel, layer 2", 6].split()[0] == f"{np.sqrt((kernel**2).mean()):.4g}"


def test_what_was_not_computed_is_a_dash():
    theory = make_theory(Truth(shifts=False)).drop_vars("loss_variance")
    rows = rows_of(render_theory(theory, [32], 0.01))
    assert re.fullmatch(r"[\d.]+ +0 +[\d.]+ ± +[\d.]+ +\(-\)", rows["prediction, test", 7])
    assert re.fullmatch(r"[\d.]+ +0 +[\d.]+ ± +- +\(-\)", rows["loss, train", 3])
    wide = render_theory(theory, [32], 0.01).split("width from which")[1]
    assert re.search(r"loss, train +- +- +- +-\n", wide)
    assert re.search(r"prediction, test +[\d,]+ +[\d,]+ \(\d\) +- +-\n", wide)


def test_lines_of_a_file_are_plain_aligned_and_never_folded():
    text = render_theory(make_theory(TRUTH), [2**n for n in range(3, 13)], 0.01)
    assert "\x1b" not in text and not re.search("[━│┃─]", text)
    assert len(rows_of(text)) == 27
    lines = [line for line in text.splitlines() if " ± " in line and "At width N" not in line]
    places = [[m.start() for m in re.finditer("±", line)] for line in lines]
    assert len(places[0]) == 10 and all(place == places[0] for place in places)


def test_nothing_is_cut_off_on_a_terminal_that_is_too_narrow(terminal):
    terminal(40)
    text = plain(render_theory(make_theory(TRUTH), [16, 32], 0.01))
    assert "…" not in text and len(rows_of(text)) == 27


@pytest.mark.parametrize("columns", [80, 100, 180])
def test_a_terminal_is_filled_and_not_overrun(terminal, columns):
    widths = [16, 32, 64, 128, 256]
    terminal(columns)
    some = plain(render_theory(make_theory(TRUTH), widths, 0.01, all_widths=False))
    every = plain(render_theory(make_theory(TRUTH), widths, 0.01))
    for text in (some, every):
        assert max(map(len, text.splitlines())) <= columns
        assert "…" not in text
    assert all(re.search(rf"N = {width}\b", every) for width in widths), (
        "asked for by name: further tables below"
    )
    assert some.count("theory: infinite width") == 1
    shown = [width for width in widths if re.search(rf"N = {width}\b", some)]
    assert shown[0] == 16 and (len(shown) == 1 or shown[-1] == 256)
    left_out = [width for width in widths if width not in shown]
    assert left_out == [int(found) for found in re.findall(r"--width (\d+)", some.replace("\n", " "))]


def test_the_tolerance_is_that_of_the_second_table():
    theory = make_theory(TRUTH)
    tight, loose = (
        re.search(r"tangent_kernel +([\d,]+) ", render_theory(theory, [32], t).split("width from")[1])
        for t in (0.01, 0.1)
    )
    ratio = float(tight[1].replace(",", "")) / float(loose[1].replace(",", ""))
    assert ratio == pytest.approx(100, rel=0.15)


def test_kernels_are_drawn_dark_to_light(terminal):
    terminal(200)
    theory = make_theory(TRUTH)
    lines = render_kernels(theory).splitlines()
    assert [title.strip() for title in re.split(" {2,}", lines[0])] == [
        "feature_kernel, layer 1", "feature_kernel, layer 2",
        "gradient_kernel, layer 1", "gradient_kernel, layer 2", "tangent_kernel",
    ]  # fmt: skip
    assert len(lines) == 1 + 6 + 1
    order = np.lexsort((np.arange(6), theory["target"][:, 0], theory["split"] == "test"))
    kernel = theory["feature_kernel"].isel(step=-1, layer=0).to_numpy()[np.ix_(order, order)]
    low, high = min(kernel.min(), 0), kernel.max()
    assert lines[-1].startswith(f"{low:.2g} to {high:.2g}")
    for row, line in zip(kernel, lines[1:7], strict=True):
        for column, value in enumerate(row):
            cell = line[2 * column : 2 * column + 2]
            assert cell == 2 * " ░▒▓█"[round(4 * (value - low) / (high - low))]


@pytest.mark.parametrize("columns", [30, 60, 90])
def test_blocks_stay_within_the_terminal_and_few(terminal, columns):
    terminal(columns)
    theory = make_theory(Truth(steps=3, train=30, test=10, layers=7))
    lines = render_kernels(theory).splitlines()
    assert max(map(len, lines)) <= columns
    assert len([line for line in lines if " to " in line]) * 1 <= MOST_KERNELS
    assert max(len(SHADED.findall(line)) for line in lines) <= 2 * MOST_POINTS * (columns // 24 + 1)
    assert lines[-1] == f"and {15 - MOST_KERNELS} more in the report"


def test_blocks_need_a_terminal_that_has_the_characters(terminal, monkeypatch):
    theory = make_theory(TRUTH)
    assert not SHADED.search(theory_summary(theory, [32], 0.01, all_widths=True)), "a file has none"
    terminal(120)
    assert SHADED.search(theory_summary(theory, [32], 0.01, all_widths=True))
    monkeypatch.setattr(Terminal, "encoding", "ascii")
    assert render_kernels(theory) == ""
    assert render_kernels(make_theory(Truth(kernels=False))) == ""


def test_the_command_says_numbers_and_writes_a_report(tiny, folder):
    result = call("theory", tiny, "--width", "100", "--width", "50", "--tolerance", "0.05")
    assert result.exit_code == 0, result.output
    assert (
        "N = 50" in result.stdout
        and "N = 100" in result.stdout
        and "N = 4 " not in result.stdout.partition("warning:")[0]
    )
    assert "below 5 %" in result.stdout
    assert result.stdout.endswith("theory: runs/tiny/theory.nc\nreport: runs/tiny/report.html\n")
    page = (folder / "runs" / "tiny" / "report.html").read_text()
    assert "How wide for 5 %?" in page and "need trained networks" in page
    assert {path.name for path in (folder / "runs" / "tiny").iterdir()} == {"theory.nc", "report.html"}


def test_a_width_that_is_asked_for_is_on_the_page_beside_those_of_networks(finished, tiny, folder):
    runs = copied(finished[0] / "out", folder / "out"), folder / "alone"
    for out, others in zip(runs, ((4, 8), ()), strict=True):
        result = call("theory", tiny, "--width", "1000", "--out", out)
        assert result.exit_code == 0 and "N = 1000" in result.stdout
        page = (out / "report.html").read_text()
        found = re.findall(r'<th role="columnheader" scope="col">Seeds at N\xa0=\xa0(\d+)</th>', page)
        assert found == [str(width) for width in (*others, 1000)]
        figures = json.loads(re.search(r'id="figures">(.*?)</script>', page, re.DOTALL)[1])
        assert any("N = 1000" in json.dumps(figure["controls"]) for figure in figures.values())


def test_doubts_on_a_theory_are_told_without_marks_of_code():
    theory = make_theory(TRUTH).assign_attrs(warnings=json.dumps(["raise `theory.sites`: 18 % is noise"]))
    told = theory_summary(theory, [32], 0.01, all_widths=True)
    assert told.endswith("\nwarning: raise theory.sites: 18 % is noise")


def test_quiet_says_nothing_and_writes_the_same(tiny, folder):
    result = call("theory", tiny, "--quiet", "--out", "out")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "")
    assert {path.name for path in Path("out").iterdir()} == {"theory.nc", "report.html"}


@pytest.mark.parametrize("option", [("--tolerance", "0"), ("--tolerance", "nan"), ("--width", "0")])
@pytest.mark.parametrize("command", ["run", "theory", "report"])
def test_tolerances_and_widths_that_are_none_are_refused(finished, tiny, folder, command, option):
    if command != "theory" and option[0] == "--width":
        return
    before = contents(folder)
    target = finished[0] / "out" if command == "report" else tiny
    assert_refused(call(command, target, *option), f"`{option[0].replace('--tol', 'tol')}", "give a ")
    assert contents(folder) == before and not (folder / "runs").exists()


def test_a_richness_scan_is_solved_stored_and_not_solved_again(folder):
    (folder / "tiny.toml").write_text(
        TINY.replace("sites = 64\n", "sites = 64\nrichness_scan = [0.5, 2]\n", 1)
    )
    result = call("run", "tiny.toml", "--out", "out")
    assert result.exit_code == 0, result.output
    assert "richness scan: 2/2" in result.stderr
    assert load_study("out/study.toml").theory.richness_scan == (0.5, 2.0)
    page = Path("out/report.html").read_text()
    assert "Signal and noise against the richness" in page
    assert "theory was already solved" in call("run", "tiny.toml", "--out", "out").stderr
    theory = xr.load_dataset("out/theory.nc", engine="h5netcdf")
    write_theory(theory.drop_dims("richness"), "out/theory.nc")
    again = call("run", "tiny.toml", "--out", "out")
    assert "richness scan: 2/2" in again.stderr, "a theory of the same hash that was written without the scan"
    again = call("run", "tiny.toml", "--out", "out", "--set", "theory.richness_scan=[0.5]")
    assert "richness scan: 1/1" in again.stderr


@pytest.mark.parametrize("command", ["run", "theory"])
def test_a_theory_that_is_refused_leaves_nothing_behind(tiny, folder, monkeypatch, command):
    def refuses(*_, **__):
        raise InputError("too large")

    monkeypatch.setattr("widthwise.cli.stages.solve_infinite_width", refuses)
    before = sorted(folder.rglob("*"))
    assert_refused(call(command, tiny, "--out", "deep/er/out", "--quiet"), "too large")
    assert sorted(folder.rglob("*")) == before
    (folder / "mine").mkdir()
    (folder / "mine" / "notes").write_text("precious")
    assert_refused(call(command, tiny, "--out", "mine", "--quiet"), "too large")
    assert [path.name for path in (folder / "mine").iterdir()] == ["notes"]
