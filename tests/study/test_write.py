"""What is written loads back to an equal study, whatever the study."""

import tomllib
from dataclasses import fields, replace
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.study import DataSettings, RunSettings, Study, dump_study, load_study, study
from widthwise.study.settings import LARGEST_WIDTH, LONGEST_SCAN
from widthwise.study.tables import TABLES, model_of

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


def values_of(entry, key):
    """Every valid value of one field, from its type and its bounds."""
    hint, rules = entry.annotation, entry.metadata
    if key.endswith("sites"):
        return st.integers(4, 22).map(lambda power: 2**power)
    if key == "data.classes":
        return st.permutations(range(10)).flatmap(lambda p: st.integers(2, 10).map(lambda n: tuple(p[:n])))
    if key == "ensemble.widths":
        return st.lists(st.integers(1, LARGEST_WIDTH), min_size=1, max_size=6, unique=True).map(tuple)
    if key == "theory.richness_scan":
        return st.lists(st.floats(1e-6, 1e6), max_size=LONGEST_SCAN, unique=True).map(tuple)
    if key == "record.steps":
        return st.sampled_from(["all", "log", (0,)])
    if key in ("data.path", "data.subset", "run.address"):
        return TEXTS
    if key == "network.blocks":
        return st.lists(st.integers(1, 100), min_size=1, max_size=8).map(tuple)
    if key == "training.decay_steps":
        return st.lists(st.integers(1, 10**8), unique=True).map(sorted).map(tuple)
    if key == "record.quantities":
        hint = get_args(hint)[1]
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) is tuple:
        names = get_args(get_args(hint)[0])
        lists = st.lists(st.sampled_from(names), min_size=1, unique=True).map(tuple)
        judged = {"prediction", "loss"}
        return lists.filter(judged.intersection) if key == "record.quantities" else lists
    if hint is bool:
        return st.booleans()
    least, greatest = rules[0].ge, rules[1].le
    assert least < greatest
    return st.floats(least, greatest) if hint is float else st.integers(int(least), int(greatest))


def settings_of(table):
    entries = model_of(TABLES[table]).model_fields
    return st.fixed_dictionaries({name: values_of(each, f"{table}.{name}") for name, each in entries.items()})


CONTENTS = st.fixed_dictionaries(
    {"name": st.text("abcXYZ019_-.é", min_size=1, max_size=30).filter(lambda name: name[0] not in ".-")}
    | {table: settings_of(table) for table in TABLES}
)


def study_of(content):
    return Study(name=content["name"], **{table: TABLES[table](**content[table]) for table in TABLES})


@pytest.fixture(scope="module", autouse=True)
def any_combination():
    """What is written has to load back whether or not its values go together."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "check_combinations", lambda study: None)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("written")


@given(content=CONTENTS)
def test_a_written_study_loads_back_equal(folder, content):
    study = study_of(content)
    path = folder / "study.toml"
    path.write_text(dump_study(study), encoding="utf-8", newline="")
    again = load_study(path)
    assert again == study
    assert again.hash() == study.hash()


@given(content=CONTENTS, table=st.sampled_from(list(TABLES)), data=st.data())
def test_hashes_are_equal_exactly_for_equal_studies(content, table, data):
    study = study_of(content)
    other = study_of(content | {table: data.draw(settings_of(table))})
    # Where the data lies is no content: the points have a digest of their own.
    same = replace(study, data=replace(study.data, path=other.data.path)) == other
    assert (study.hash() == other.hash()) == same
    assert study.hash() == replace(study, folder="elsewhere").hash()


def test_one_changed_key_changes_the_hash_of_its_table_and_no_other():
    study = Study(name="a")
    other = replace(study, training=replace(study.training, steps=7))
    assert study.hash("training") != other.hash("training")
    assert study.hash("data", "network") == other.hash("data", "network")


def test_moving_the_data_keeps_the_hash():
    here, there = (
        Study(name="a", data=DataSettings(kind="arrays", path=path))
        for path in ("points.npz", "../points.npz")
    )
    assert here != there and here.hash() == there.hash()


@pytest.mark.parametrize(
    "path", ['"', "\\", "\t\n\r", "\x01\x1f\x7f", "\u2028é\U0001f600", "'''\"\"\"", "#[a]="]
)
def test_odd_characters_come_back(folder, path):
    study = Study(name="odd", data=DataSettings(path=path))
    assert load_after(dump_study(study), folder) == study


def test_every_field_is_written():
    study = Study(
        name="a",
        data=DataSettings(kind="arrays", path="points.npz", subset="plain"),
        run=RunSettings(address="auto"),
    )
    written = tomllib.loads(dump_study(study))
    for table, settings in TABLES.items():
        assert set(written[table]) == {entry.name for entry in fields(settings)}


@pytest.mark.parametrize("target", ["runs/deep", ".", "../beside"])
def test_a_relative_data_path_still_leads_to_the_same_file(tmp_path, target):
    home, target = tmp_path / "home", tmp_path / "home" / target
    target.mkdir(parents=True)
    (home / "data").mkdir()
    (home / "data" / "points.npz").touch()
    study = Study(name="a", data=DataSettings(kind="arrays", path="data/points.npz"), folder=str(home))
    (target / "study.toml").write_text(dump_study(study, folder=target))
    moved = load_study(target / "study.toml")
    assert moved.data.path is not None
    assert (Path(moved.folder) / moved.data.path).samefile(home / "data" / "points.npz")


def test_an_absolute_data_path_stays(tmp_path):
    path = str(tmp_path / "points.npz")
    study = Study(name="a", data=DataSettings(kind="arrays", path=path), folder="anywhere")
    assert load_after(dump_study(study, folder=tmp_path), tmp_path).data.path == path


def load_after(text, folder):
    (folder / "study.toml").write_text(text, encoding="utf-8", newline="")
    return load_study(folder / "study.toml")
