"""Broken and thin records: a clear message or "underpowered", never a traceback or a wrong verdict."""

import json

import numpy as np
import pytest
import xarray as xr
from synthetic_records import FAULTS, correct_records

from widthwise.audit import AuditSettings, audit
from widthwise.errors import InputError


@pytest.fixture
def records(seed) -> xr.Dataset:
    return correct_records(np.random.default_rng(seed))


def twice(records):
    return xr.concat([records, records.isel(width=[0])], "width")


def texts(records):
    return records.assign(loss=records["loss"].astype(str))


BROKEN = {
    "no width": (lambda r: r.isel(width=0), "`width` is missing"),
    "no seed": (lambda r: r.isel(seed=0, drop=True), "`seed` is missing"),
    "no numbers": (lambda r: r[["target"]].expand_dims(width=[4], seed=[0]), "record `prediction` or `loss`"),
    "width twice": (twice, "width 16 occurs 2 times"),
    "texts": (texts, "`loss` holds"),
    "no labels of width": (lambda r: r.drop_vars("width"), "`width` is missing"),
    "texts as widths": (lambda r: r.assign_coords(width=list("abcd")), "give whole numbers"),
    "half widths": (lambda r: r.assign_coords(width=[1.5, 2, 3, 4]), "positive whole numbers"),
    "negative widths": (lambda r: r.assign_coords(width=[-16, 32, 64, 128]), "positive whole numbers"),
    "steps that fall": (lambda r: r.isel(step=slice(None, None, -1)), "does not ascend"),
    "wrong divergence": (lambda r: r.assign(diverged_at=r["diverged_at"][0]), "`diverged_at` has dimensions"),
    "no steps": (lambda r: r.isel(step=slice(0, 0)), "nothing to audit"),
    "no dataset": (lambda r: r["loss"], "give a dataset"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_records_are_refused_with_the_reason(records, name):
    spoil, message = BROKEN[name]
    with pytest.raises((InputError, TypeError), match=None if name == "no dataset" else message):
        audit(spoil(records))


@pytest.mark.parametrize("alpha", [0.0, 1.0, -1.0, float("nan")])
def test_an_impossible_alpha_is_refused(records, alpha):
    with pytest.raises(InputError, match="alpha"):
        audit(records, alpha=alpha)


def test_an_unknown_claim_is_refused_with_those_there_are(records):
    with pytest.raises(InputError, match="'nonsense': choose from training_setup"):
        audit(records, claims=["nonsense"])
    with pytest.raises(InputError, match="empty"):
        audit(records, claims=[])


@pytest.mark.parametrize("bad", [{"exponent_tolerance": -1.0}, {"most_steps": 0}, {"onset": float("nan")}])
def test_impossible_settings_are_refused(bad):
    with pytest.raises(InputError, match=f"audit.{next(iter(bad))}"):
        AuditSettings(**bad)


THIN = {
    "one width": lambda r: r.isel(width=[0]),
    "one seed": lambda r: r.isel(seed=[0]),
    "one seed at one width": lambda r: r.where((r["width"] > 16) | (r["seed"] == 0)),
    "one step": lambda r: r.isel(step=[0]),
    "two widths, one seed": lambda r: r.isel(width=[0, 3], seed=[2]),
    "loss alone": lambda r: r[["loss"]].isel(seed=[0]),
    "copies of one seed": lambda r: r.isel(seed=[0, 0, 0]).assign_coords(seed=[0, 1, 2]),
    "nothing finite": lambda r: r.where(r["width"] < 0),
    "constant": lambda r: r.map(lambda v: v * 0 + 1),
    "zero": lambda r: r.map(lambda v: v * 0),
}


@pytest.mark.parametrize("name", THIN)
def test_too_little_is_never_a_verdict(records, name):
    """Whatever is asked of records that cannot answer, none is inconsistent and the whole is underpowered."""
    thin = THIN[name](records.drop_vars("diverged_at"))
    thin = thin.assign(target=records["target"]) if "target" in thin else thin
    try:
        found = audit(thin)
    except InputError as error:
        assert name == "nothing finite" and "finite" in str(error)
        return
    assert found.verdict != "inconsistent"
    if name not in ("constant", "zero", "one step"):
        assert found.verdict == "underpowered"
    json.dumps(found.to_json(), allow_nan=False)


def test_missing_seeds_and_diverged_runs_leave_the_rest(records):
    """Cells not trained, and networks not finite from a step on, are left out; the fault is still found."""
    spoiled = FAULTS["embedding rate"][0](records)
    missing = (spoiled["width"] == 32) & (spoiled["seed"] == 1)
    late = (spoiled["width"] == 128) & (spoiled["seed"] == 3) & (spoiled["step"] >= 16)
    flags = spoiled["diverged_at"]
    spoiled = spoiled.where(~missing & ~late).assign(target=records["target"])
    spoiled["diverged_at"] = xr.where((flags["width"] == 128) & (flags["seed"] == 3), 16, -1)
    found = audit(spoiled)
    assert found.verdict == "inconsistent" and found.rows[0].where["tensor"] == "embedding"
    assert found.evidence["seeds_by_width"] == [6, 5, 6, 6]
    assert found.evidence["diverged_by_width"] == [0, 0, 0, 1]
    assert any("1 of N = 128" in sentence for sentence in found.summary)


def test_wide_networks_that_all_diverge_are_found(records):
    """And what was recorded before the divergence still counts."""
    wide = records["width"] >= 64
    broken = records.where(~(wide & (records["step"] >= 2))).assign(target=records["target"])
    broken["diverged_at"] = xr.where(wide, 2, -1).broadcast_like(records["diverged_at"])
    found = audit(broken)
    row = found.rows[0]
    assert (row.claim, row.verdict) == ("large_rate", "inconsistent")
    assert any(r.where.get("quantity") == "weight_rms" and r.verdict == "consistent" for r in found.rows)


def test_steps_recorded_by_some_networks_only_are_left_out(records):
    odd = records["step"].isin([4, 64]) & (records["width"] == 64)
    found = audit(records.drop_vars("diverged_at").where(~odd).assign(target=records["target"]))
    assert found.verdict != "inconsistent"
    assert found.evidence["seeds_by_width"] == [6, 6, 6, 6]


def test_order_of_widths_does_not_matter(records):
    turned = audit(records.isel(width=[2, 0, 3, 1]))
    straight = audit(records)
    assert [row.to_json() for row in turned.rows] == [row.to_json() for row in straight.rows]


def test_names_are_passed_on_as_they_are(records):
    named = records.assign_coords(tensor=["<script>", "../../etc", "'; drop", "readout"])
    rows = audit(named, claims=["scales"]).rows
    assert {row.where.get("tensor") for row in rows} >= {"<script>", "../../etc"}


def test_what_is_not_recorded_is_untested_with_the_reason(records):
    found = audit(records[["loss"]])
    why = {each.claim: each.why for each in found.untested}
    assert "record" in why["predictions"] and "record" in why["scales"] and "record" in why["attention"]
    assert {row.claim for row in found.rows} >= {"loss_curves", "onset", "training_rate"}


def test_copies_of_a_network_count_once(records):
    copied = xr.concat([records, records.isel(seed=[0]).assign_coords(seed=[99])], "seed")
    copied = copied.assign(target=records["target"])
    found = audit(copied)
    assert found.evidence["seeds"] == 6
    assert any("seed 99" in sentence for sentence in found.summary)


def test_the_verdict_is_plain_json_with_the_contracts_keys(records):
    content = audit(FAULTS["ntk"][0](records)).to_json()
    back = json.loads(json.dumps(content, allow_nan=False))
    assert back["schema"] == 1 and back["verdict"] == "inconsistent"
    keys = {
        "claim",
        "verdict",
        "estimate",
        "interval",
        "expected",
        "where",
        "advice",
        "resolution",
        "p_value",
    }
    assert all(keys <= set(claim) for claim in back["claims"])
    assert {"widths", "seeds", "steps", "alpha", "commit", "versions"} <= set(back["evidence"])
