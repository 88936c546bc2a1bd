"""A study leaves as it came: from the attributes of a file, whoever wrote them."""

import json
import subprocess
import sys

import pytest

from widthwise.errors import StoreError
from widthwise.study import NetworkSettings, Study, TrainingSettings
from widthwise.study.stored import known_study, read_json, study_of

STUDY = Study(name="kept", network=NetworkSettings(hidden_layers=2), training=TrainingSettings(steps=7))
HOSTILE = {
    "a number": "7",
    "a list": "[1]",
    "nothing": "null",
    "a text": '"x"',
    "no JSON": "{",
    "empty": "",
    "nested lists": "[" * 100_000 + "]" * 100_000,
    "nested tables": '{"data":' * 100_000 + "1" + "}" * 100_000,
    "nested somewhat": json.dumps(STUDY.tables() | {"deep": {"x": json.loads("[" * 300 + "]" * 300)}}),
    "a table that is none": '{"network": 1}',
    "a text for a number": '{"training": {"steps": "many"}}',
    "a kind that is none": '{"network": {"kind": "rnn"}}',
    "a list for a name": '{"study": {"name": []}}',
    "out of bounds": '{"training": {"steps": -1}}',
    "not finite": '{"training": {"learning_rate": NaN}}',
    "what does not go together": '{"network": {"kind": "transformer"}}',
}


def test_a_study_leaves_as_it_came():
    assert study_of({"study": json.dumps(STUDY.tables())}, "a.nc") == STUDY
    assert study_of({}, "a.nc") is None


def test_files_of_other_versions_can_be_read():
    tables = json.loads(json.dumps(STUDY.tables()))
    tables["network"]["a later key"], tables["later"] = 3, {"key": 1}
    del tables["training"]["schedule"], tables["run"]
    assert study_of({"study": json.dumps(tables)}, "a.nc") == STUDY


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_study_is_refused_by_the_file_s_name_or_passed_by(value):
    with pytest.raises(StoreError, match=r"a\.nc: its attribute `study` is no study \(.*make the file again"):
        study_of({"study": value}, "a.nc")
    assert known_study({"study": value}) is None


@pytest.mark.parametrize("value", [7, [1], None, b"x", {"network": 3}])
def test_attributes_that_are_no_text_are_refused_too(value):
    with pytest.raises(StoreError, match="is no study"):
        study_of({"study": value}, "a.nc")


def test_json_is_read_to_a_depth():
    assert read_json('{"a": [[[]]]}') == {"a": [[[]]]}
    for depth in (100, 100_000):
        with pytest.raises(ValueError, match="nested too deeply"):
            read_json("[" * depth + "]" * depth)


def test_reading_it_loads_no_jax():
    program = "import sys; from widthwise.study.stored import study_of; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
