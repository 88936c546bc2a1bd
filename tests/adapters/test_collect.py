"""Many runs as one dataset: read where it is asked for, honest about what is missing, hard to fool."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st

import widthwise as ww
from widthwise.adapters import RecordWriter, open_runs, stores
from widthwise.adapters.found_run import Labels, Run, RunsArray
from widthwise.errors import InputError, StoreError

WIDTHS, SEEDS, STEPS = (8, 16, 32), (0, 1), (0, 1, 2, 3)


def value(width: int, seed: int, step: int) -> float:
    return 1000.0 * width + 100 * seed + step


def record(out: Path, width: int, seed: int, steps=STEPS, **settings) -> None:
    extra = settings.pop("extra", {})
    with RecordWriter(out, width=width, seed=seed, **settings) as recorder:
        for step in steps:
            kernel = np.arange(8.0).reshape(2, 2, 2) + value(width, seed, step)
            recorder.record(step, loss=value(width, seed, step), feature_kernel=kernel, **extra)


def record_all(out: Path) -> None:
    for width in WIDTHS:
        for seed in SEEDS:
            record(out, width, seed)


def notes(records: xr.Dataset) -> list[str]:
    return json.loads(records.attrs["notes"])


def test_every_run_is_in_its_place(tmp_path):
    record_all(tmp_path)
    records = ww.open_runs(tmp_path)
    assert records["loss"].dims == ("width", "seed", "step", "split") and records["loss"].shape == (
        3,
        2,
        4,
        1,
    )
    assert records["feature_kernel"].dims == ("width", "seed", "layer", "step", "point", "point_b")
    for width in WIDTHS:
        for seed in SEEDS:
            one = records.sel(width=width, seed=seed)
            assert one["loss"].values.ravel().tolist() == [value(width, seed, step) for step in STEPS]
            assert one["feature_kernel"].sel(step=2).values[1, 0, 1] == 5 + value(width, seed, 2)
    assert records["done"].all() and notes(records) == []


AXIS = st.one_of(
    st.integers(0, 2),
    st.slices(3).filter(lambda key: len(range(*key.indices(3))) > 0),  # empty ones fail in xarray
    st.lists(st.integers(0, 2), min_size=1, max_size=4).map(np.array),
)


@given(st.tuples(AXIS, AXIS, AXIS, AXIS))
def test_indexing_is_that_of_arrays(key):
    whole = np.arange(81.0).reshape(3, 3, 3, 3)
    runs = {
        (i, k): Run(
            "x", i + 1, k, np.arange(3), {"loss": xr.Variable(("step", "split"), whole[i, k])}, Labels()
        )
        for i in range(3)
        for k in range(3)
    }
    array = RunsArray("loss", runs, (3, 3), np.arange(3))
    dims = ("width", "seed", "step", "split")
    lazy = xr.Variable(dims, xr.core.indexing.LazilyIndexedArray(array))
    assert np.array_equal(lazy[key].values, xr.Variable(dims, whole)[key].values)


def test_only_what_is_asked_for_is_read(tmp_path, monkeypatch):
    record_all(tmp_path)
    read = []
    original = stores.Stored.read
    monkeypatch.setattr(
        stores.Stored, "read", lambda self, key: read.append(self.name) or original(self, key)
    )
    records = open_runs(tmp_path)
    assert read == []
    part = records["feature_kernel"].sel(width=16, step=[1, 3]).isel(seed=1, point=0)
    assert read == []
    part.load()
    assert read == [f"{tmp_path}/width=16/seed=1.zarr: `feature_kernel`"]


def test_steps_that_not_all_have_are_left_out_and_named(tmp_path):
    record_all(tmp_path)
    record(tmp_path, 64, 0, steps=(0, 2, 3, 7))
    records = open_runs(tmp_path)
    assert records["step"].values.tolist() == [0, 2, 3] and records.attrs["left_out_steps"] == [1, 7]
    assert "steps 1, 7 are left out" in notes(records)[0]
    assert records["loss"].sel(width=64, seed=0, step=3).item() == value(64, 0, 3)
    assert not records["done"].sel(width=64, seed=1) and np.isnan(records["loss"].sel(width=64, seed=1)).all()


def test_runs_without_a_common_step_are_refused(tmp_path):
    record(tmp_path, 8, 0, steps=(0, 1))
    record(tmp_path, 16, 0, steps=(2, 3))
    with pytest.raises(InputError, match="no step in common"):
        open_runs(tmp_path)


def test_diverged_and_interrupted_runs_do_not_shorten_the_others(tmp_path):
    record_all(tmp_path)
    with RecordWriter(tmp_path, width=64, seed=0) as recorder:
        recorder.record(0, loss=1.0, feature_kernel=np.ones((2, 2, 2)))
        recorder.record(1, loss=np.nan, feature_kernel=np.ones((2, 2, 2)))
    with pytest.raises(KeyboardInterrupt), RecordWriter(tmp_path, width=64, seed=1) as recorder:
        recorder.record(0, loss=5.0, feature_kernel=np.ones((2, 2, 2)))
        raise KeyboardInterrupt
    records = open_runs(tmp_path)
    assert records["step"].values.tolist() == list(STEPS)
    assert records["diverged_at"].sel(width=64).values.tolist() == [1, -1]
    assert records["done"].sel(width=64).values.tolist() == [True, False]
    losses = records["loss"].sel(width=64).values[..., 0]
    assert losses[:, 0].tolist() == [1, 5] and np.isnan(losses[:, 1:]).all()
    assert "1 runs are not done" in notes(records)[0]


def test_the_same_run_twice_is_refused(tmp_path):
    record(tmp_path / "a", 8, 0)
    record(tmp_path / "b", 8, 0)
    with pytest.raises(InputError, match="width 8, seed 0 is recorded twice"):
        open_runs([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(InputError, match="recorded twice"):
        open_runs(tmp_path)


@pytest.mark.parametrize(
    ("one", "two", "message"),
    [
        (
            {"extra": {"weight_rms": {"a": 1.0}}},
            {"extra": {"weight_rms": {"b": 1.0}}},
            "also 'b'; it lacks 'a'",
        ),
        (
            {"extra": {"prediction": [1.0, 2.0]}},
            {"extra": {"prediction": np.ones((2, 2))}},
            r"is \(point 2, output 2\) in",
        ),
        ({"extra": {"forward_rms": [1, 2]}}, {"extra": {"forward_rms": {"x": 1, "y": 2}}}, ""),
        ({"extra": {"forward_rms": {"x": 1, "z": 2}}}, {"extra": {"forward_rms": {"x": 1, "y": 2}}}, "'y'"),
        ({"probes": [1.0]}, {"probes": [2.0]}, "other probes"),
        ({"targets": [1.0, 2.0]}, {"targets": [1.0, 3.0]}, "other targets"),
        ({"splits": ["test", "train"], "extra": {}}, {"splits": ["train", "test"]}, "splits"),
    ],
)
def test_runs_that_differ_are_refused_with_the_difference(tmp_path, one, two, message):
    if "splits" in one:
        for width, settings in ((8, one), (16, two)):
            with RecordWriter(tmp_path, width=width, seed=0, splits=settings["splits"]) as recorder:
                recorder.record(0, prediction=[1.0, 2.0])
    else:
        record(tmp_path, 8, 0, **one)
        record(tmp_path, 16, 0, **two)
    if not message:  # names on one side only: nothing contradicts
        assert open_runs(tmp_path)["layer_name"].values.tolist() == ["x", "y"]
        return
    with pytest.raises(InputError, match=message):
        open_runs(tmp_path)


def test_a_quantity_that_not_all_have_is_left_out_and_named(tmp_path):
    record(tmp_path, 8, 0, extra={"sharpness": 1.0})
    record(tmp_path, 16, 0)
    records = open_runs(tmp_path)
    assert "sharpness" not in records and "`sharpness` is left out" in notes(records)[0]


def test_roles_are_seen_from_shapes_over_widths(tmp_path):
    for width in (8, 16):
        shapes = {
            "in": (width, 3),
            "mid": (width, width),
            "out": (1, width),
            "table": (7, width),
            "bias": (1,),
        }
        extra = {"weight_rms": dict.fromkeys(shapes, 1.0)}
        record(tmp_path, width, 0, extra=extra, tensor_shapes=shapes, tensor_roles={"table": "input"})
    records = open_runs(tmp_path)
    assert records["tensor_role"].values.tolist() == ["input", "hidden", "readout", "input", "scalar"]
    assert records["tensor_shape"].sel(width=16).values.tolist()[0] == [16, 3]


def by_hand(path: Path, **changes) -> None:
    """A store as somebody else might write it, with xarray."""
    data = {
        "loss": (("width", "seed", "step"), np.arange(12.0).reshape(2, 2, 3)),
        "prediction": (("width", "seed", "step", "point", "output"), np.ones((2, 2, 3, 4, 1))),
    } | changes.pop("data", {})
    coords = {"width": [8, 16], "step": [0, 1, 2]} | changes
    xr.Dataset({k: v for k, v in data.items() if v is not None}, coords=coords).to_zarr(path, zarr_format=3)


def test_a_store_written_by_hand_with_xarray_can_be_opened(tmp_path):
    losses = np.arange(12.0).reshape(2, 2, 3)
    losses[0, 1, 1:] = np.nan
    losses[1, 1] = np.nan
    by_hand(tmp_path / "r.zarr", data={"loss": (("width", "seed", "step"), losses)})
    records = open_runs(tmp_path / "r.zarr")
    assert records["loss"].dims == ("width", "seed", "step", "split")
    assert records["loss"].values[1, 0, :, 0].tolist() == [6, 7, 8]
    assert records["diverged_at"].values.tolist() == [[-1, 1], [-1, -1]]
    assert records["done"].values.tolist() == [[True, True], [True, False]]
    assert np.isnan(records["prediction"].sel(width=8, seed=1).isel(step=slice(1, None))).all(), "diverged"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": [8, 8]}, "recorded twice"),
        ({"width": [8.5, 16.0]}, "whole numbers"),
        ({"width": ["a", "b"]}, "whole numbers"),
        ({"width": [0, 16]}, "`width` is 0"),
        ({"step": [0, 2, 1]}, "ascending"),
        ({"step": [0.0, np.nan, 1.0]}, "whole numbers"),
        ({"data": {"loss": (("seed", "width", "step"), np.ones((2, 2, 3)))}}, "the schema says"),
        ({"data": {"loss": (("width", "seed", "step"), np.full((2, 2, 3), "x"))}}, "give real numbers"),
        ({"data": {"loss": None, "prediction": None}}, "no record store"),
    ],
)
def test_a_wrong_store_is_refused(tmp_path, changes, message):
    by_hand(tmp_path / "r.zarr", **changes)
    with pytest.raises(InputError, match=message):
        open_runs(tmp_path / "r.zarr")


def test_html_in_names_is_only_text(tmp_path):
    name = "<script>alert(1)</script>"
    record(tmp_path, 8, 0, extra={"weight_rms": {name: 1.0, "../../etc/passwd": 2.0}})
    records = open_runs(tmp_path)
    assert records["tensor"].values.tolist() == [name, "../../etc/passwd"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["width=8"]


def test_unknown_arrays_and_links_in_a_folder_are_passed_by(tmp_path):
    record(tmp_path / "runs", 8, 0)
    record(tmp_path / "other", 8, 0)
    group = zarr.open_group(tmp_path / "runs" / "width=8" / "seed=0.zarr", mode="r+", use_consolidated=False)
    group.create_array("secret", shape=(2,), dtype="int32", dimension_names=("secret",))
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "other")
    assert "secret" not in open_runs(tmp_path / "runs").variables


def test_damage_is_an_error_and_never_a_number(tmp_path):
    record(tmp_path, 8, 0)
    chunk = next(p for p in (tmp_path / "width=8/seed=0.zarr/loss/c").rglob("*") if p.is_file())
    content = bytearray(chunk.read_bytes())
    content[-6] ^= 1
    chunk.write_bytes(bytes(content))
    records = open_runs(tmp_path)
    with pytest.raises(StoreError, match="is damaged"):
        records["loss"].load()
    (tmp_path / "width=8/seed=0.zarr/zarr.json").write_text("{")
    with pytest.raises(StoreError, match="is damaged"):
        open_runs(tmp_path)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        open_runs(tmp_path / "nowhere")
    with pytest.raises(StoreError, match="no records in it"):
        open_runs(tmp_path)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        open_runs(tmp_path / "a.txt")
    with pytest.raises(InputError, match="is empty"):
        open_runs([])


def test_heads_that_grow_in_number_are_compared_as_far_as_all_have_them(tmp_path):
    kept = {}
    for width in WIDTHS:
        kept[width] = np.random.default_rng(width).dirichlet(np.ones(3), (2, width // 4, 3))
        with RecordWriter(tmp_path, width=width, seed=0) as recorder:
            sharpness = kept[width].std((2, 3))
            recorder.record(
                0,
                loss=1.0,
                attention=dict(zip("ab", kept[width], strict=True)),
                attention_entropy=dict(zip("ab", sharpness, strict=True)),
            )
    records = ww.open_runs(tmp_path)
    assert dict(records.sizes)["head"] == 2
    for width in WIDTHS:
        one = records.sel(width=width, seed=0, step=0)
        assert np.array_equal(one["attention"], kept[width][:, :2].astype(one["attention"].dtype))
        assert one["attention_entropy"].shape == (2, 2)
    assert notes(records) == ["attention is that of the first 2 heads: networks have up to 8"]
