"""Commands on studies that theory does not treat: trained, reported, swept; never solved."""

import numpy as np
import pytest
import xarray as xr
from commands import assert_refused, call, contents

from widthwise.cli.sweep import parse_values
from widthwise.errors import InputError
from widthwise.records import open_records

STREAM = """
[study]
name = "stream"
[data]
kind = "synthetic"
order = "online"
dimension = 3
test = 5
[network]
base_width = 4
[training]
optimizer = "adam"
learning_rate = 0.02
batch = 8
steps = 20
reduction = "mean"
[ensemble]
widths = [4, 8]
seeds = 3
"""
TEXT = """
[study]
name = "text"
[data]
kind = "text"
train = 32
test = 4
sequence_length = 8
[network]
kind = "transformer"
heads = 2
base_width = 8
activation = "gelu"
[training]
optimizer = "sgd"
batch = 8
steps = 3
loss = "cross_entropy"
reduction = "mean"
[ensemble]
widths = [8]
seeds = 1
[record]
quantities = ["prediction", "loss", "example_loss", "attention", "preactivation_quantile", "sharpness",
    "tangent_kernel_eigenvalue", "task_power", "weight_rms", "gradient_rms", "update_rms"]
train_points = 3
modes = 2
"""


@pytest.fixture
def stream(folder):
    (folder / "stream.toml").write_text(STREAM)
    return folder / "stream.toml"


def test_a_run_trains_and_reports_without_theory(stream, folder):
    result = call("run", stream, "--out", "out")
    assert result.exit_code == 0, result.output
    assert "loss at step 19" in result.stdout and "report: " in result.stdout
    kept = {path.name for path in (folder / "out").iterdir() if not path.name.startswith(".")}
    assert kept == {"study.toml", "records.zarr", "verdict.json", "report.html"}
    page = (folder / "out" / "report.html").read_text()
    assert '<section id="audit">' in page, "a run ends in an audit"
    assert "widthwise theory" not in page and "need theory" not in page, "which refuses this study"
    (folder / "out" / "verdict.json").unlink()
    assert call("report", "out").exit_code == 0
    page = (folder / "out" / "report.html").read_text()
    assert "widthwise theory" not in page and "not yet audited" in page
    records = open_records(folder / "out" / "records.zarr")
    assert bool(records["done"].all()) and set(records["split"].to_numpy()) == {"test"}
    assert list(records["step"][:3]) == [0, 1, 2] and int(records["step"][-1]) == 19
    assert float(records["loss"].isel(step=-1).mean()) < float(records["loss"].isel(step=0).mean())


def test_a_run_that_records_no_loss_ends_with_a_table_without(stream):
    result = call("run", stream, "--set", "record.quantities=['prediction']", "--out", "out", "--quiet")
    assert result.exit_code == 0 and result.stderr == ""
    result = call("run", stream, "--set", "record.quantities=['prediction']", "--out", "out")
    assert "networks at step 19" in result.stdout and "loss at" not in result.stdout


def test_a_changed_study_leaves_the_folder_of_another_as_it_is(stream, folder):
    assert call("run", stream, "--out", "out", "--quiet").exit_code == 0
    before = contents(folder / "out")
    changed = call("run", stream, "--set", "training.learning_rate=0.05", "--out", "out")
    assert_refused(changed, "holds records of another study: `training.learning_rate` was 0.02 and is 0.05")
    assert contents(folder / "out") == before


def test_theory_alone_is_refused_naming_every_key_in_the_way(stream):
    refused = ('`data.order` = "online" (needs "offline")', '`training.optimizer` = "adam" (needs "gd" or')
    assert_refused(call("theory", stream), *refused, "theory is for", "widthwise train")


def test_a_sweep_writes_its_losses_and_names_the_best_value(stream, folder):
    arguments = ("sweep", stream, "training.learning_rate=0.04,0.001,0.01", "--out", "out")
    result = call(*arguments)
    assert result.exit_code == 0, result.output
    with xr.open_dataset(folder / "out" / "sweep.nc") as sweep:
        assert sweep["value"].to_numpy().tolist() == [0.001, 0.01, 0.04]
        assert dict(sweep["loss"].sizes) == {"value": 3, "width": 2, "seed": 3}
        one = open_records(folder / "out" / "training.learning_rate=0.01" / "records.zarr")
        np.testing.assert_array_equal(
            sweep["loss"].sel(value=0.01), one["loss"].isel(step=-1, split=-1).transpose("width", "seed")
        )
        best = sweep["value"].to_numpy()[sweep["loss"].mean("seed").argmin("value")]
        np.testing.assert_array_equal(sweep["best"], best)
        assert (sweep["loss"] < sweep["initial_loss"]).all() and (sweep["largest_stable"] == 0.04).all()
    assert "optimum" in result.stdout and " *" in result.stdout and "stable up to" in result.stdout
    assert_refused(call("report", "out"), "holds a sweep", "report one of its folders")
    assert_refused(call("audit", "out"), "holds a sweep", "audit one of its folders")
    again = call(*arguments)
    assert again.exit_code == 0 and "training: 0/" not in again.stderr


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("training.learning_rate", "give a setting"),
        ("training.learning_rate=a,b", "give a setting"),
        ("data.train=1,2,3", "give a key of"),
        ("training.rate=1,2,3", "give a key of"),
        ("training.learning_rate=0.1,0.1", "different values"),
        ("training.learning_rate=-1,2,3", "training.learning_rate"),
        ("training.learning_rate=nan,2,3", "training.learning_rate"),
        ("training.learning_rate=0.1,0.2", "three or more"),
        ("training.point_rate=1,2,3", "give a key of"),
        ("training.learning_rat=1,2,3", "did you mean training.learning_rate?"),
    ],
)
def test_sweeps_over_nothing_sensible_are_refused(stream, folder, text, part):
    assert_refused(call("sweep", stream, text, "--out", "out"), part)
    assert not list((folder / "out").glob("*/*")) if (folder / "out").exists() else True


def test_sweeps_that_could_not_be_judged_or_kept_are_refused_before_training(stream, folder):
    values = "training.learning_rate=0.1,0.2,0.3"
    assert_refused(call("sweep", stream, values, "--out", "s3://bucket/x"), "a sweep goes to a folder")
    blind = ("--set", "record.quantities=['prediction']", "--out", "out")
    assert_refused(call("sweep", stream, values, *blind), 'a sweep needs "loss"')
    assert not list(folder.glob("out*/*")) and not (folder / "s3:").exists()


def test_a_sweep_in_which_everything_diverged_has_no_optimum(stream):
    rates, one = "training.learning_rate=1e28,2e28,4e28", ("--set", "ensemble.widths=[4]", "--quiet")
    result = call("sweep", stream, rates, *one, "--out", "out")
    assert result.exit_code == 0 and result.stderr == ""
    result = call("sweep", stream, rates, *one[:2], "--out", "out")
    assert "at every value some network diverged at N = 4" in result.stdout and "nan" not in result.stdout


def test_values_are_numbers_in_order():
    assert parse_values("training.learning_rate = [0.1, 1e-2]") == ("training.learning_rate", [0.01, 0.1])
    with pytest.raises(InputError):
        parse_values("training.learning_rate=")


@pytest.mark.slow
def test_everything_that_can_be_recorded_of_a_transformer_is(folder):
    (folder / "text.toml").write_text(TEXT)
    result = call("run", "text.toml", "--out", "out")
    assert result.exit_code == 0, result.output
    records = open_records(folder / "out" / "records.zarr").load()
    for name in ("attention", "sharpness", "sharpness_residual", "task_power", "preactivation_quantile"):
        assert np.isfinite(records[name]).all(), name
    np.testing.assert_allclose(records["attention"].sum("key"), 1.0, rtol=1e-5)
    assert list(records["layer_name"].to_numpy())[:2] == ["embedding", "mlp 1"]
    assert "blocks.0.attention.query" in records["tensor"].to_numpy()
    # The mean of the losses of points is that of their split.
    train = records["split"].to_numpy() == "train"
    each = records["example_loss"].to_numpy()[..., train].mean(-1)
    np.testing.assert_allclose(each, records["loss"].isel(split=0).to_numpy(), rtol=1e-5)
