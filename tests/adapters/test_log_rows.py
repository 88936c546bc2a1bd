"""Logs of losses."""

import json

import numpy as np
import pytest

from widthwise.adapters import open_runs
from widthwise.errors import InputError


def log(tmp_path, text: str):
    path = tmp_path / "log.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_a_log_of_losses_is_records(tmp_path):
    rows = "".join(
        f"{n},{e},{t},{n + 10 * e + t / 100}\n" for t in (2, 0, 1) for n in (16, 8) for e in (0, 1)
    )
    path = log(tmp_path, "Width, seed,step,loss\n" + rows)
    for records in (open_runs(path), open_runs([str(path)])):
        assert records["width"].values.tolist() == [8, 16] and records["step"].values.tolist() == [0, 1, 2]
        expected = records["width"] + 10 * records["seed"] + records["step"] / 100
        assert np.allclose(records["loss"].isel(split=0), expected)
        assert records["done"].all() and (records["diverged_at"] == -1).all()


def test_splits_have_names_and_steps_without_all_of_them_are_left_out(tmp_path):
    rows = "".join(f"8,0,{t},{t},train\n" for t in range(4)) + "8,0,0,5,test\n8,0,2,7,test\n"
    records = open_runs(log(tmp_path, "width,seed,step,loss,split\n" + rows))
    assert records["split"].values.tolist() == ["train", "test"]
    assert records["loss"].sel(split="test").values.ravel().tolist() == [5, 7]
    assert records["step"].values.tolist() == [0, 2]


@pytest.mark.parametrize("bad", ["nan", "inf", "", "-Infinity"])
def test_a_loss_that_is_no_number_is_divergence(tmp_path, bad):
    records = open_runs(log(tmp_path, f"width,seed,step,loss\n8,0,0,1\n8,0,1,{bad}\n8,1,0,1\n8,1,1,2\n"))
    assert records["diverged_at"].values.tolist() == [[1, -1]]
    assert np.isnan(records["loss"].sel(seed=0, step=1)).all() and records["done"].all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column width"),
        ("width,seed,step\n", "no column loss"),
        ("width,seed,step,loss\n", "no rows"),
        ("width,seed,step,loss\n8,0,0,x\n", "line 2: loss is 'x'"),
        ("width,seed,step,loss\n8,0,0,1\n8,0,0,2\n", "line 3: width 8, seed 0, step 0 comes a second time"),
        ("width,seed,step,loss\n8.5,0,0,1\n", "line 2: width is 8.5"),
        ("width,seed,step,loss\n0,0,0,1\n", "line 2: `width` is 0"),
        ("width,seed,step,loss\n8,0,-1,1\n", "steps from 0 on"),
        ("width,seed,step,loss\n8,0\n", "line 2: step is ''"),
        ("width, Width,seed,step,loss\n8,16,0,0,1\n", "2 columns width"),
        ("width,seed,step,loss\n8,1e30,0,1\n", "seed is 1e\\+30, which is no whole number, or too large"),
        ("width,seed,step,loss\n8,0,inf,1\n", "step is inf"),
        ("width,seed,step,loss,split\n8,0,0,1,train\n8,0,1,1,test\n", "no step with a loss of every split"),
    ],
)
def test_a_wrong_log_is_refused_by_line(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        open_runs(log(tmp_path, text))


def test_unequal_steps_are_said(tmp_path):
    records = open_runs(log(tmp_path, "width,seed,step,loss\n8,0,0,1\n8,0,1,1\n16,0,0,1\n"))
    assert records["step"].values.tolist() == [0]
    assert "steps 1 are left out" in json.loads(records.attrs["notes"])[0]
