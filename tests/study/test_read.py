"""A study file is read strictly: whatever is wrong is named, with what to do."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from widthwise.errors import InputError
from widthwise.study import (
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    Study,
    TrainingSettings,
    load_study,
)

COMPLETE = """
[study]
name = "mine"

[data]
kind = "synthetic"
task = "fourier"
dimension = 7
train = 5
test = 3
seed = 2

[network]
activation = "erf"
richness = 2            # a whole number where a float is wanted is fine
centered = false

[training]
optimizer = "gradient_flow"
steps = 30

[ensemble]
widths = [8, 16]

[record]
steps = [0, 29]
quantities = ["loss"]
"""


@pytest.fixture
def study_file(tmp_path):
    """Writes the text of a study file and returns its path."""

    def write(text: str | bytes) -> Path:
        path = tmp_path / "mine.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def complaint(path, overrides=()) -> str:
    with pytest.raises(InputError) as caught:
        load_study(path, overrides)
    return str(caught.value)


def test_every_given_key_arrives_and_the_others_keep_their_defaults(study_file):
    study = load_study(study_file(COMPLETE))
    assert study.name == "mine" and study.data.dimension == 7 and study.data.task == "fourier"
    assert study.network == NetworkSettings(activation="erf", richness=2.0, centered=False)
    assert isinstance(study.network.richness, float)
    assert study.training == TrainingSettings(optimizer="gradient_flow", steps=30)
    assert study.ensemble == EnsembleSettings(widths=(8, 16))
    assert study.record == RecordSettings(steps=(0, 29), quantities=("loss",))


def test_the_folder_is_where_the_file_lies(study_file):
    path = study_file(COMPLETE)
    assert load_study(path).folder == str(path.parent)
    assert load_study(str(path)) == load_study(path)


@pytest.mark.parametrize("text", ["\ufeff" + COMPLETE, COMPLETE.replace("\n", "\r\n")])
def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(study_file, text):
    assert load_study(study_file(text)) == load_study(study_file(COMPLETE))


UNKNOWN = {
    "[network]\nrichnes = 2.0": ("`network.richnes`", "did you mean `network.richness`?"),
    "[networks]\nrichness = 2.0": ("`networks`", "did you mean [network]?"),
    "[data]\nlearning_rate = 0.1": ("`data.learning_rate`", "did you mean `training.learning_rate`?"),
    "[data]\nzzz = 0.1": ("`data.zzz`", "[data] knows kind, path, classes"),
    "[zzz]\na = 1": ("`zzz`", "the tables are [study], [data]"),
    "[data.deep]\ntrain = 1": ("`data.deep`", "unknown key"),
    "[[ensemble]]\nseeds = 3": ("`ensemble`", "expected a table, [ensemble]"),
}


@pytest.mark.parametrize("text", UNKNOWN)
def test_unknown_keys_are_named_with_the_nearest_valid_one(study_file, text):
    message = complaint(study_file(f'[study]\nname = "mine"\n{text}\n'))
    assert all(part in message for part in UNKNOWN[text]) and "mine.toml" in message


def test_a_key_before_its_table_is_told_where_it_belongs(study_file):
    message = complaint(study_file('richness = 1.0\n[study]\nname = "mine"'))
    assert "`richness`: stands outside a table; put it under [network]" in message


WRONG_TYPES = {
    "[training]\nsteps = '100'": ("`training.steps`", '"100"', "expected a whole number"),
    "[training]\nsteps = 100.0": ("`training.steps`", "100.0", "expected a whole number"),
    "[training]\nsteps = true": ("`training.steps`", "true", "expected a whole number"),
    "[training]\nlearning_rate = '0.1'": ("`training.learning_rate`", '"0.1"', "expected a finite number"),
    "[training]\nlearning_rate = false": ("`training.learning_rate`", "false", "expected a finite number"),
    "[training]\nlearning_rate = nan": ("`training.learning_rate`", "nan", "expected a finite number"),
    "[training]\nlearning_rate = 1e999": ("`training.learning_rate`", "inf", "expected a finite number"),
    "[network]\ncentered = 1": ("`network.centered`", "1", "expected true or false"),
    "[network]\nactivation = 'tanhh'": ("`network.activation`", '"tanhh"', 'did you mean "tanh"?'),
    "[network]\nactivation = 3": ("`network.activation`", "3", '"tanh"'),
    "[data]\npath = 3": ("`data.path`", "3", "expected a text in quotes"),
    "[data]\nclasses = 3": ("`data.classes`", "3", "expected an array of whole numbers"),
    "[data]\nclasses = [3, 8.5]": ("`data.classes`", "[3, 8.5]", "expected an array of whole numbers"),
    "[data]\nseed = 2024-01-01": ("`data.seed`", "2024", "expected a whole number"),
    "[theory]\nrichness_scan = 2.0": ("`theory.richness_scan`", "2.0", "expected an array of finite numbers"),
    "[theory]\nrichness_scan = ['1']": ("`theory.richness_scan`", "expected an array of finite numbers"),
    "[theory]\nrichness_scan = [nan]": ("`theory.richness_scan`", "expected an array of finite numbers"),
    "[record]\nsteps = 'some'": ("`record.steps`", '"some"', '"all" or "log" or an array of whole numbers'),
    "[record]\nsteps = [[1]]": ("`record.steps`", "[[1]]", '"all" or "log" or an array of whole numbers'),
    "[record]\nquantities = ['los']": ("`record.quantities`", '["los"]', '"loss"'),
}


@pytest.mark.parametrize("text", WRONG_TYPES)
def test_wrong_types_name_key_value_and_what_is_expected(study_file, text):
    message = complaint(study_file(f'[study]\nname = "mine"\n{text}\n'))
    assert all(part in message for part in WRONG_TYPES[text]) and "mine.toml" in message
    assert message.count("`") == 2, "one problem, told once"


def test_all_problems_of_a_file_are_told_at_once(study_file):
    message = complaint(study_file('[study]\nname = "mine"\n[data]\ntrian = 3\n[network]\nrichness = "x"'))
    assert "`data.trian`" in message and "`network.richness`" in message


@pytest.mark.parametrize("text", ["", "[data]\ntrain = 3", "[study]\n", "[study]\nnam = 'a'"])
def test_a_missing_name_says_how_to_begin(study_file, text):
    assert "`study.name` is missing" in complaint(study_file(text))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[study]\nname = "mine', 2),
        ('[study]\nname = "mine"\n\n[data\ntrain = 3', 4),
        ('[study]\nname = "mine"\n[data]\ntrain = 3\ntrain = 4', 5),
        ("[study]\nname = \n", 2),
        (b'[study]\nname = "mine"\n# caf\xe9', 3),
    ],
)
def test_unreadable_files_name_file_and_line(study_file, text, line):
    assert f"mine.toml, line {line}:" in complaint(study_file(text))


@pytest.mark.parametrize("text", ["a = " + "[" * 9999, "a = " + "1" * 9999, "#" * (2 << 20), "\0"])
def test_files_made_to_break_readers_are_refused(study_file, text):
    assert "mine.toml" in complaint(study_file(text))


def test_missing_files_and_folders_are_told_apart(tmp_path):
    assert "there is no such study file" in complaint(tmp_path / "absent.toml")
    assert "is a folder" in complaint(tmp_path)
    assert "cannot be read" in complaint("null\0byte.toml")
    assert "cannot be read" in complaint("x" * 5000)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_says_so(study_file):
    path = study_file(COMPLETE)
    path.chmod(0)
    assert "Permission denied" in complaint(path)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("training.steps=50", ("training", "steps"), 50),
        (" training.steps = 50", ("training", "steps"), 50),
        ("network.richness=3", ("network", "richness"), 3.0),
        ("network.activation=relu", ("network", "activation"), "relu"),
        ('network.activation="relu"', ("network", "activation"), "relu"),
        ("ensemble.widths=[4, 9]", ("ensemble", "widths"), (4, 9)),
        ("theory.observables=['loss']", ("theory", "observables"), ("loss",)),
        ("data.path=../a=b.npz", ("data", "path"), "../a=b.npz"),
        ("theory.richness_scan=[1, 0.5]", ("theory", "richness_scan"), (1.0, 0.5)),
        ("network.centered=true", ("network", "centered"), True),
    ],
)
def test_overrides_replace_one_key(study_file, override, key, value):
    path = study_file(COMPLETE)
    before, after = load_study(path).tables(), load_study(path, ["training.steps=40", override]).tables()
    before["training"]["steps"] = 40
    before[key[0]][key[1]] = value
    assert after == before


def test_the_name_can_be_overridden(study_file):
    assert load_study(study_file(COMPLETE), ["study.name=other"]).name == "other"


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("training.steps", "give table.key=value"),
        ("steps=3", "give table.key=value"),
        ("a.b.c=3", "give table.key=value"),
        (".steps=3", "give table.key=value"),
        ("=", "give table.key=value"),
        ("ensemble.widths=[3,", "not readable as TOML"),
        ("training.steps=3\nloss='mse'", "not readable as TOML"),
        ("training.stps=3", "did you mean `training.steps`?"),
        ("trainin.steps=3", "did you mean [training]?"),
        ("training.steps=many", "expected a whole number"),
        ("network.centered=True", "expected true or false"),
        ("training.steps=-1", "step 0 is initialization"),
    ],
)
def test_bad_overrides_name_what_was_typed(study_file, override, part):
    message = complaint(study_file(COMPLETE), [override])
    assert part in message and f"--set {override}" in message


def test_lists_and_whole_numbers_in_code_mean_what_they_mean_in_a_file():
    # In a process of its own, without the type checks that the tests switch on.
    program = """
import numpy as np
from widthwise.study import EnsembleSettings, NetworkSettings, Study, TheorySettings, TrainingSettings
loose = Study(name="a", network=NetworkSettings(richness=2), training=TrainingSettings(steps=np.int64(9)),
              ensemble=EnsembleSettings(widths=2 ** np.arange(4, 6)),
              theory=TheorySettings(richness_scan=[1, np.float32(0.5)]))
strict = Study(name="a", network=NetworkSettings(richness=2.0),
               ensemble=EnsembleSettings(widths=(16, 32)), training=TrainingSettings(steps=9),
               theory=TheorySettings(richness_scan=(1.0, 0.5)))
assert loose == strict and loose.hash() == strict.hash() and hash(loose) == hash(strict)
for wrong in (dict(richness=True), dict(richness="2"), dict(centered=1), dict(richness=10**400)):
    try:
        Study(name="a", network=NetworkSettings(**wrong))
    except ValueError as error:
        assert "`network." in str(error) and "expected" in str(error), error
    else:
        raise AssertionError(wrong)
for wrong in (dict(name=3), dict(name="a", data={"train": 3}), dict(name="a", folder=3)):
    try:
        Study(**wrong)
    except ValueError as error:
        assert "`" in str(error), error
    else:
        raise AssertionError(wrong)
try:
    strict.hash("nam")
except ValueError as error:
    assert "choose from" in str(error), error
else:
    raise AssertionError("nam")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_study_is_a_value():
    assert Study(name="a") == Study(name="a", folder="elsewhere")
    assert Study(name="a") != Study(name="b")


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "examples").glob("*.toml")), ids=str)
def test_every_example_is_a_study_named_like_its_file(path):
    assert load_study(path).name == path.stem
