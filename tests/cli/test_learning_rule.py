"""The study key `training.learning_rule` through whole commands."""

import json

import pytest
from commands import assert_refused, call

from widthwise.observables import read_theory
from widthwise.records import open_records
from widthwise.study import load_study

RULE = ("--set", "training.learning_rule=direct_feedback_alignment")


def test_a_run_under_another_rule_is_complete_but_for_order_one_over_width(tiny, folder):
    result = call("run", tiny, "--out", "out", *RULE, "--set", "network.hidden_layers=2")
    assert result.exit_code == 0, result.output
    assert {path.name for path in (folder / "out").iterdir() if not path.name.startswith(".")} == {
        "study.toml",
        "theory.nc",
        "records.zarr",
        "verdict.json",
        "report.html",
    }
    claims = json.loads((folder / "out" / "verdict.json").read_text())["claims"]
    assert "theory: mean_infinite_width" in {row["claim"] for row in claims}, "networks meet infinite width"
    with read_theory("out/theory.nc") as theory:
        assert not [name for name in theory.data_vars if str(name).endswith(("_variance", "_shift"))]
        assert float(abs(theory["prediction"]).max()) > 0.01
        (warning,) = (each for each in json.loads(theory.attrs["warnings"]) if "learning_rule" in each)
    assert "direct_feedback_alignment" in warning
    assert load_study("out/study.toml").training.learning_rule == "direct_feedback_alignment"


def test_the_rule_changes_what_is_trained_but_not_where_it_starts(tiny, folder):
    plain = ("--set", "network.centered=false")
    for out, arguments in (("one", plain), ("other", (*plain, *RULE))):
        result = call("train", tiny, "--out", out, *arguments)
        assert result.exit_code == 0, result.output
    one, other = (
        open_records(folder / out / "records.zarr")["prediction"].load() for out in ("one", "other")
    )
    assert (one.isel(step=0) == other.isel(step=0)).all()
    assert float(abs(one - other).isel(step=-1).min()) > 0


@pytest.mark.parametrize("said", ["feedback_alignmnt", "hebbian"])
def test_an_unknown_rule_is_refused_with_the_choices(tiny, said):
    choices = ('"backpropagation"', '"feedback_alignment"', '"direct_feedback_alignment"')
    assert_refused(
        call("theory", tiny, "--set", f"training.learning_rule={said}"), "training.learning_rule", *choices
    )
