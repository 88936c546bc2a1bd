"""No study holds a value that nothing can be done with."""

import math

import numpy as np
import pytest

from widthwise.errors import InputError
from widthwise.study import (
    DataSettings,
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    Study,
    TheorySettings,
    TrainingSettings,
)

TABLES = {
    "data": DataSettings,
    "network": NetworkSettings,
    "training": TrainingSettings,
    "theory": TheorySettings,
    "ensemble": EnsembleSettings,
    "record": RecordSettings,
}
HUGE = 10**400

IMPOSSIBLE = [
    ("data.train", 0),
    ("data.train", HUGE),
    ("data.test", -1),
    ("data.seed", -1),
    ("data.dimension", 0),
    ("data.classes", (3,)),
    ("data.classes", (3, 3)),
    ("data.classes", (3, 11)),
    ("data.classes", (-1, 3)),
    ("data.path", "\ud800.npz"),
    ("data.path", "a\0b"),
    ("network.hidden_layers", 0),
    ("network.richness", 0.0),
    ("network.richness", -1.0),
    ("network.richness", math.nan),
    ("network.richness", math.inf),
    ("network.richness", 1e-300),
    ("network.activation_scale", 0.0),
    ("network.activation_gain", -2.0),
    ("training.learning_rate", 0.0),
    ("training.learning_rate", -0.1),
    ("training.learning_rate", math.nan),
    ("training.learning_rate", -math.inf),
    ("training.steps", 0),
    ("training.steps", HUGE),
    ("training.substeps", 0),
    ("theory.sites", 0),
    ("theory.sites", 1000),
    ("theory.sites", -16),
    ("theory.sites", 2**23),
    ("theory.fluctuation_sites", 2**23),
    ("theory.fluctuation_sites", 48),
    ("theory.fluctuation_sites", 8),
    ("theory.scramblings", 1),
    ("theory.seed", 2**31),
    ("theory.observables", ()),
    ("theory.observables", ("loss", "loss")),
    ("theory.richness_scan", (0.0,)),
    ("theory.richness_scan", (-1.0, 1.0)),
    ("theory.richness_scan", (1.0, math.nan)),
    ("theory.richness_scan", (math.inf,)),
    ("theory.richness_scan", (0.5, 0.5)),
    ("theory.richness_scan", (1e300,)),
    ("theory.richness_scan", tuple(float(n) for n in range(1, 34))),
    ("ensemble.widths", ()),
    ("ensemble.widths", (0,)),
    ("ensemble.widths", (-8, 16)),
    ("ensemble.widths", (16, 16)),
    ("ensemble.widths", (HUGE,)),
    ("ensemble.seeds", 0),
    ("ensemble.seeds", 100001),
    ("ensemble.seed", -1),
    ("ensemble.seeds_per_cell", 0),
    ("record.steps", ()),
    ("record.steps", (0, 100)),
    ("record.steps", (-1,)),
    ("record.steps", (3, 3)),
    ("record.quantities", ()),
    ("record.quantities", ("tangent_kernel",)),
]


@pytest.mark.parametrize(("key", "value"), IMPOSSIBLE)
def test_impossible_values_are_refused_by_name(key, value):
    table, name = key.split(".")
    with pytest.raises(InputError) as caught:
        Study(name="a", **{table: TABLES[table](**{name: value})})
    assert f"`{key}` = " in str(caught.value)
    assert len(str(caught.value)) < 500


def test_refusals_tell_the_bounds_with_all_their_digits():
    with pytest.raises(InputError, match="give 16 to 4,194,304; Sobol points"):
        Study(name="a", theory=TheorySettings(sites=2**23))
    with pytest.raises(InputError, match="give 1 to 100,000; networks of each width"):
        Study(name="a", ensemble=EnsembleSettings(seeds=10**9))


def test_a_refusal_can_be_printed_whatever_it_names():
    with pytest.raises(InputError) as caught:
        Study(name="a", data=DataSettings(path="\ud800.npz"))
    assert '`data.path` = "\\ud800.npz": has characters' in str(caught.value).encode().decode()


def test_a_whole_number_too_large_for_any_float_is_told_the_bounds():
    with pytest.raises(InputError, match=r"`training\.steps` = 1000.*: give 1 to 100,000,000; step 0"):
        Study(name="a", training=TrainingSettings(steps=HUGE))


def test_all_wrong_values_of_a_table_are_told_at_once():
    with pytest.raises(InputError) as caught:
        Study(name="a", theory=TheorySettings(sites=17, scramblings=1, observables=()))
    told = ("theory.sites", "theory.scramblings", "theory.observables")
    assert [line.split("`")[1] for line in str(caught.value).splitlines()] == list(told)


def test_arrays_need_a_path():
    with pytest.raises(InputError, match=r"`data\.path` = "):
        Study(name="a", data=DataSettings(kind="arrays"))


@pytest.mark.parametrize("name", ["", ".hidden", "..", "a/b", "-rf", "a b", "a\n", "x" * 101, "a\0"])
def test_names_that_make_no_folder_are_refused(name):
    with pytest.raises(InputError, match=r"`study\.name`"):
        Study(name=name)


@pytest.mark.parametrize("steps", [1, 2, 3, 9, 100, 12345])
def test_log_steps_begin_at_zero_end_at_the_last_and_thin_out(steps):
    study = Study(name="a", training=TrainingSettings(steps=steps), record=RecordSettings(steps="log"))
    recorded = study.recorded_steps()
    assert recorded[0] == 0 and recorded[-1] == steps - 1
    assert np.all(np.diff(recorded) > 0)
    assert len(recorded) <= 3 + 8 * math.log10(max(steps, 2)) + 1


def test_all_and_listed_steps_are_ascending():
    training = TrainingSettings(steps=5)
    assert Study(name="a", training=training).recorded_steps().tolist() == [0, 1, 2, 3, 4]
    listed = Study(name="a", training=training, record=RecordSettings(steps=(4, 0)))
    assert listed.recorded_steps().tolist() == [0, 4]
