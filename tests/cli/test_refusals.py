"""What a user may do wrong is one clear message, before anything is written."""

import numpy as np
import pytest
from commands import ARRAYS, GOOD, TINY, assert_refused, call, contents

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
