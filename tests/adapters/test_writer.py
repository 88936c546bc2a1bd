"""Records of one run from plain arrays: whole or not there, checked, and what they were."""

import json
from pathlib import Path

import numpy as np
import pytest

import widthwise as ww
from widthwise.adapters import RecordWriter, open_runs, run_store, writer
from widthwise.adapters.stores import runs_of_store
from widthwise.errors import InputError

RANDOM = np.random.default_rng(7)
VALUES = {
    "prediction": RANDOM.normal(size=(6, 4, 2)).astype(np.float32),
    "loss": RANDOM.normal(size=(6, 2)),
    "feature_kernel": RANDOM.normal(size=(6, 3, 4, 4)).astype(np.float32),
    "update_rms": RANDOM.normal(size=(6, 2)),
    "attention": RANDOM.random(size=(6, 2, 3, 5, 5)).astype(np.float32),
}
STEPS = [0, 1, 2, 4, 8, 16]


def write(
    out: Path, width: int = 8, seed: int = 0, steps: list[int] = STEPS, scale: float = 1.0
) -> RecordWriter:
    targets, splits = np.ones((4, 2)), ["train", "train", "test", "test"]
    with RecordWriter(out, width=width, seed=seed, targets=targets, splits=splits) as recorder:
        for i, step in enumerate(steps):
            recorder.record(
                step,
                prediction=scale * VALUES["prediction"][i],
                loss={"test": VALUES["loss"][i, 1], "train": VALUES["loss"][i, 0]},
                feature_kernel={
                    "first": VALUES["feature_kernel"][i, 0],
                    "last": VALUES["feature_kernel"][i, 2],
                },
                update_rms=dict(zip(("a", "b"), VALUES["update_rms"][i], strict=True)),
                attention=VALUES["attention"][i],
            )
    return recorder


def check(records) -> None:
    """Everything is where the schema says it is."""
    one = records.isel(width=0, seed=0)
    assert np.array_equal(one["prediction"], VALUES["prediction"]) and one["prediction"].dtype == np.float32
    assert np.array_equal(one["loss"], VALUES["loss"]), "splits are in the order of the points"
    assert np.array_equal(one["feature_kernel"].isel(layer=1), VALUES["feature_kernel"][:, 2])
    assert np.array_equal(one["attention"], VALUES["attention"])
    assert np.array_equal(one["update_rms"], VALUES["update_rms"])
    assert records["layer_name"].values.tolist() == ["first", "last"]
    assert records["layer"].values.tolist() == [1, 2]
    assert records["tensor"].values.tolist() == ["a", "b"]
    assert records["step"].values.tolist() == STEPS
    assert records["split"].values.tolist() == ["train", "train", "test", "test"]
    assert records["done"].all() and (records["diverged_at"] == -1).all()
    assert (records["target"] == 1).all()


def test_families_are_kept_and_who_names_none_is_alone(tmp_path):
    for width, seed, family in ((8, 0, 5), (8, 1, 5), (16, 0, 5), (16, 1, None), (8, 2, None)):
        with RecordWriter(tmp_path, width=width, seed=seed, family=family) as recorder:
            recorder.record(0, loss={"test": 1.0})
    records = open_runs(tmp_path)
    assert records.coords["family"].dims == ("width", "seed")
    family = records["family"].values
    assert family[:, :2].tolist() == [[5, 5], [5, family[1, 1]]]
    assert family[1, 2] == -1, "no network there"
    assert len({5, int(family[0, 2]), int(family[1, 1])}) == 3
    records.load().drop_attrs().to_zarr(tmp_path / "together.zarr", zarr_format=3, consolidated=False)
    assert len(runs_of_store(tmp_path / "together.zarr")) == 5, "nobody reads what is not there"
    assert open_runs(tmp_path / "together.zarr")["family"].values.tolist() == family.tolist()
    with pytest.raises(InputError, match="`family` is -1: give a whole number from 0 on"):
        RecordWriter(tmp_path, width=8, seed=3, family=-1)


def test_what_is_written_is_read(tmp_path):
    store = write(tmp_path).path
    assert store == tmp_path / "width=8" / "seed=0.zarr"
    check(ww.open_records(store))
    check(open_runs(store))
    check(open_runs(tmp_path))


@pytest.mark.parametrize("held", [0, 1000, 10**9])
@pytest.mark.parametrize("chunk", [1, 500, 10**9])
def test_it_is_the_same_however_often_it_is_flushed(tmp_path, monkeypatch, held, chunk):
    monkeypatch.setattr(writer, "HELD_BYTES", held)
    monkeypatch.setattr(run_store, "CHUNK_BYTES", chunk)
    write(tmp_path)
    check(open_runs(tmp_path))


@pytest.mark.parametrize("held", [0, 10**9])
def test_what_is_missing_at_some_steps_is_nan_there(tmp_path, monkeypatch, held):
    monkeypatch.setattr(writer, "HELD_BYTES", held)
    with RecordWriter(tmp_path, width=4, seed=1) as recorder:
        for step in range(5):
            recorder.record(step, loss=step, weight_rms={"a": 2.0} if step in (1, 3) else None)
    assert recorder.diverged_at == -1
    records = open_runs(tmp_path)
    assert np.isfinite(records["weight_rms"].values.ravel()).tolist() == [False, True, False, True, False]
    assert records["loss"].values.ravel().tolist() == [0, 1, 2, 3, 4]


def test_what_is_not_finite_is_divergence_and_nan_from_there_on(tmp_path):
    with RecordWriter(tmp_path, width=4, seed=0) as recorder:
        for step, loss in enumerate([1.0, np.inf, 3.0]):
            recorder.record(step, loss=loss, weight_rms={"a": 1.0})
    assert recorder.diverged and recorder.diverged_at == 1
    for records in (open_runs(tmp_path), ww.open_records(recorder.path)):
        assert records["diverged_at"].item() == 1 and records["done"].item()
        assert np.isnan(records["loss"].values.ravel()).tolist() == [False, True, True]
        assert np.isnan(records["weight_rms"].values.ravel()).tolist() == [False, True, True]


def test_an_interrupted_run_is_kept_and_not_done(tmp_path):
    with pytest.raises(KeyboardInterrupt), RecordWriter(tmp_path, width=4, seed=0) as recorder:
        recorder.record(0, loss=1.0)
        raise KeyboardInterrupt
    records = open_runs(tmp_path)
    assert records["loss"].item() == 1 and not records["done"].item()


def test_only_a_complete_run_replaces_a_complete_one(tmp_path):
    write(tmp_path)
    with pytest.raises(ZeroDivisionError), RecordWriter(tmp_path, width=8, seed=0) as recorder:
        recorder.record(0, loss=1.0)
        check(open_runs(tmp_path))
        raise ZeroDivisionError
    assert recorder.path is not None and recorder.path.name == "seed=0.interrupted.zarr"
    check(open_runs(tmp_path))
    write(tmp_path, scale=2.0)
    found = open_runs(tmp_path)["prediction"].values[0, 0]
    assert np.array_equal(found, 2 * VALUES["prediction"])
    assert sorted(p.name for p in (tmp_path / "width=8").iterdir()) == [
        "seed=0.interrupted.zarr",
        "seed=0.zarr",
    ]


def test_nothing_is_there_before_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "HELD_BYTES", 0)
    with RecordWriter(tmp_path, width=8, seed=0) as recorder:
        recorder.record(0, loss=1.0)
        with pytest.raises(InputError, match="no records in it"):
            open_runs(tmp_path)
    assert open_runs(tmp_path)["loss"].item() == 1


def test_a_failure_while_writing_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*arguments, **named):
        raise OSError(28, "full")

    monkeypatch.setattr(run_store.zarr, "consolidate_metadata", full)
    with pytest.raises(InputError, match="the disk is full"):
        write(tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("step", "quantities", "message"),
    [
        (1, {"predictions": [1.0]}, "did you mean `prediction`"),
        (1, {"prediction_two_time_covariance": [1.0]}, "no quantity of records"),
        (1, {"prediction": [[[1.0]]]}, r"\(point, output\)"),
        (1, {"prediction": ["a", "b"]}, "no array of numbers"),
        (1, {"prediction": [[1.0], [1.0, 2.0]]}, "no array of numbers"),
        (1, {"prediction": [1.0, 2.0, 3.0]}, "has 3 along `point`, where before there were 2"),
        (1, {"feature_kernel": np.ones((1, 2, 3))}, "has 3 along `point_b`"),
        (1, {"update_rms": [1.0]}, "by name of tensor"),
        (1, {"update_rms": {"a": 1.0, "c": 1.0}}, "also 'c'; it lacks 'b'"),
        (1, {"update_rms": {"b": 1.0, "a": 1.0}}, "the same in another order"),
        (1, {"update_rms": {"a\n": 1.0}}, "printable texts"),
        (1, {"update_rms": {}}, "at least one"),
        (1, {"sharpness": {"a": 1.0}}, "give an array"),
        (1, {"preactivation_quantile": np.ones((1, 2, 3))}, "QUANTILE_LEVELS"),
        (1, {}, "nothing is given"),
        (0, {"loss": 1.0}, "ascending order"),
        (-1, {"loss": 1.0}, "whole number"),
        (1.5, {"loss": 1.0}, "whole number"),
    ],
)
def test_wrong_records_are_refused_with_advice(tmp_path, step, quantities, message):
    recorder = RecordWriter(tmp_path, width=8, seed=0)
    recorder.record(0, prediction=[1.0, 2.0], update_rms={"a": 1.0, "b": 2.0})
    with pytest.raises((InputError, TypeError), match=message if step != 1.5 else None):
        recorder.record(step, **quantities)
        recorder.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 0}, "`width` is 0"),
        ({"seed": -1}, "`seed` is -1"),
        ({"splits": ["valid"]}, '"train" or "test"'),
        ({"splits": ["test"], "targets": [1.0, 2.0]}, "1 entries for 2"),
        ({"tensor_roles": {"a": "output"}}, "one of input, hidden"),
        ({"attributes": {"x": object()}}, "JSON cannot hold"),
        ({"tensor_shapes": {"a" * 300: (1,)}}, "printable texts"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        RecordWriter(tmp_path, **({"width": 8, "seed": 0} | settings))


def test_a_store_or_a_file_is_no_folder_for_runs(tmp_path):
    store = write(tmp_path).path
    with pytest.raises(InputError, match="itself a store"):
        RecordWriter(store, width=8, seed=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        RecordWriter(tmp_path / "file", width=8, seed=0)


def test_a_run_without_predictions_and_losses_is_refused(tmp_path):
    with (
        pytest.raises(InputError, match="neither `prediction` nor `loss`"),
        RecordWriter(tmp_path, width=8, seed=0) as recorder,
    ):
        recorder.record(0, sharpness=1.0)
    with pytest.raises(InputError, match="closed"):
        recorder.record(1, loss=1.0)
    assert list(tmp_path.rglob("*.zarr")) == []


def test_attributes_say_what_wrote_it(tmp_path):
    with RecordWriter(tmp_path, width=8, seed=0, attributes={"note": [1, "<b>"]}) as recorder:
        recorder.record(0, loss=1.0)
    attributes = open_runs(tmp_path).attrs
    assert json.loads(attributes["user_note"]) == [1, "<b>"] and "numpy" in attributes["written_by"]
