"""Wrong calls from Python are refused at once, in words that name the argument."""

import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import widthwise as ww
from widthwise.data import open as stream
from widthwise.records import folder
from widthwise.study.combinations import checked_training

KEY = jax.random.key(0)
# Without the type checks of the test suite, which would refuse some of these calls before the library does.
parametrize, describe, load_parameters, train, open_stream, open_folder, make_optimizer = (
    inspect.unwrap(each)
    for each in (
        ww.parametrize,
        ww.describe_parametrization,
        ww.load_parameters,
        ww.train_ensemble,
        stream.open_stream,
        folder.open_folder,
        ww.make_optimizer,
    )
)


def unchecked(settings, **values):
    """Settings as they would be without the type checks of the test suite."""
    for name, value in values.items():
        object.__setattr__(settings, name, value)
    return settings


STUDY = ww.Study(name="a", training=ww.TrainingSettings(optimizer="sgd", batch=4, steps=3))


def make(width):
    return eqx.nn.Linear(3, width, key=KEY)


def broken(width):
    return eqx.tree_at(lambda layer: layer.weight, make(width), jnp.full((width, 3), jnp.nan))


PARAMETRIZE = {
    "no width": ({"width": 0}, "`width` = 0: give a whole number"),
    "a fraction": ({"width": 8.5}, "`width` = 8.5: give a whole number"),
    "a text": ({"base_width": "8"}, "`base_width` = '8': give a whole number"),
    "a truth": ({"width": True}, "`width` = True"),
    "a seed": ({"key": 0}, "`key` = 0: give a key"),
    "a list of tags": ({"tags": [".weight"]}, "give roles by path"),
    "no function": ({"make": 8}, "`make` = int: give a function"),
    "numbers that are none": ({"make": broken}, ".weight: has entries that are not finite"),
}


@pytest.mark.parametrize("case", PARAMETRIZE)
def test_a_module_is_not_parametrized_by_what_is_no_width_key_or_function(case):
    changed, said = PARAMETRIZE[case]
    arguments = {"make": make, "width": 16, "base_width": 8, "key": KEY} | changed
    with pytest.raises(ValueError) as caught:
        parametrize(arguments.pop("make"), arguments.pop("width"), **arguments)
    assert said in str(caught.value)


OPTIMIZER = {
    "a negative rate": (ww.TrainingSettings(learning_rate=-1.0), "`training.learning_rate` = -1.0"),
    "no number": (ww.TrainingSettings(clip=float("nan")), "`training.clip` = nan"),
    "falls in disorder": (
        ww.TrainingSettings(schedule="step", decay_steps=(5, 2)),
        "`training.decay_steps` = [5, 2]: give steps above 0, ascending",
    ),
    "a whole study": (STUDY, "`training` is Study: give TrainingSettings"),
}


@pytest.mark.parametrize("case", OPTIMIZER)
def test_no_optimizer_is_made_of_settings_that_no_training_can_have(case):
    settings, said = OPTIMIZER[case]
    rules = ww.parametrize(make, 16, base_width=8, key=KEY).rules
    with pytest.raises(ValueError) as caught:
        make_optimizer(rules, settings)
    assert said in str(caught.value)


def test_an_unknown_optimizer_is_none_of_those_there_are():
    with pytest.raises(ValueError, match=r'`training\.optimizer` = "lion": expected "gd"'):
        checked_training(unchecked(ww.TrainingSettings(), optimizer="lion"))


def test_rules_are_not_taken_from_what_holds_none():
    found = ww.parametrize(make, 16, base_width=8, key=KEY)
    for wrong in (None, found, found.model):
        with pytest.raises(ValueError, match=r"`rules` is to hold rules alone.*give `parametrize"):
            make_optimizer(wrong, ww.TrainingSettings())
    assert make_optimizer(found.rules, unchecked(ww.TrainingSettings(), steps=np.int64(7))) is not None


@pytest.mark.parametrize("width", [0, -4, 4.5, 10**9, "8", None])
def test_what_is_no_width_is_not_described(width):
    with pytest.raises(ValueError, match=r"`width` = .*give a whole number from 1 to 16,777,216"):
        describe(STUDY, width)


def test_a_path_is_no_study_and_a_study_no_path(tmp_path):
    for wrong in (
        lambda: describe("a.toml", 8),
        lambda: train("a.toml"),
        lambda: open_stream("a"),
    ):
        with pytest.raises(ValueError, match="`study` is str: give a Study, such as load_study"):
            wrong()
    for place in (STUDY, None, b"x", 3):
        with pytest.raises(ValueError, match="names no place: give a path or a URL"):
            open_folder(place)
    with pytest.raises(ValueError, match="`seed` = '0': give a whole number"):
        load_parameters(tmp_path / "a.zarr", width=4, seed="0")
    with pytest.raises(ValueError, match="no weights of width 4, seed 0: they are kept with"):
        load_parameters(tmp_path / "a.zarr", width=4, seed=0)


def test_paths_may_be_given_as_paths(tmp_path):
    study = ww.Study(name="a", data=ww.DataSettings(kind="arrays", path="mine.npz"))
    unchecked(study.data, path=tmp_path / "mine.npz")
    unchecked(study, folder=tmp_path).__post_init__()
    assert study.data.path == str(tmp_path / "mine.npz") and study.folder == str(tmp_path)
