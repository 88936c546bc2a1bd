"""Numbers that are missing, overflow or say nothing: never a wrong verdict, a traceback or a warning."""

import json
import warnings

import numpy as np
import pytest
import xarray as xr
from audited import audit_of, row
from synthetic_records import correct_records, embedding_rate

from widthwise.analysis.verdict import Test as Hypothesis
from widthwise.analysis.verdict import judge
from widthwise.audit import AuditSettings, audit, ensemble_view, reading
from widthwise.errors import InputError
from widthwise.report.audit import Audited

NAMES = ["loss", "prediction", "feature_kernel", "update_rms", "target"]


@pytest.fixture
def records(seed) -> xr.Dataset:
    return correct_records(np.random.default_rng(seed), noise=0.01)[NAMES]


def missing(name: str, value: float = np.nan, **at):
    """Records in which a part of a variable is missing."""

    def change(records: xr.Dataset) -> xr.Dataset:
        values = records[name].to_numpy().copy()
        values[tuple(at.get(str(dim), slice(None)) for dim in records[name].dims)] = value
        return records.assign({name: (records[name].dims, values)})

    return change


def alive(where):
    """Records of which all is missing but where this holds, divergence not said."""
    return lambda r: r.where(where(r)).assign(target=r["target"])


ODD = {
    "losses not at first": missing("loss", step=0),
    "losses at some steps": missing("loss", step=slice(1, None, 2)),
    "losses at the last step": missing("loss", step=slice(0, -1)),
    "predictions at some steps": missing("prediction", step=slice(1, None, 2)),
    "predictions nowhere": missing("prediction"),
    "predictions not of one network": missing("prediction", width=1, seed=2),
    "predictions not of one width": missing("prediction", width=1),
    "predictions not at one point": missing("prediction", point=0),
    "kernels at two steps": missing("feature_kernel", step=slice(1, 8)),
    "kernels of one layer": missing("feature_kernel", layer=0),
    "updates not at first": missing("update_rms", step=0),
    "one infinite update": missing("update_rms", np.inf, width=1, seed=1, step=0),
    "other steps in each network": alive(lambda r: (r["seed"] + r["step"]) % 3 != 0),
    "diverging one after the other": alive(lambda r: r["step"] <= 2.0 ** (r["seed"] + 1)),
    "all diverging at once": alive(lambda r: r["step"] < 1),
    "no network of the widest": alive(lambda r: r["width"] < 128),
    "one network of the widest": alive(lambda r: (r["width"] < 128) | (r["seed"] == 2)),
    "one network": alive(lambda r: (r["width"] == 16) & (r["seed"] == 0)),
    "huge predictions": lambda r: r.assign(prediction=1e200 * r["prediction"]),
    "huge losses of one width": missing("loss", 1e250, width=2),
    "huge kernels": lambda r: r.assign(feature_kernel=1e99 * r["feature_kernel"]),
    "huge targets": lambda r: r.assign(target=1e200 * r["target"]),
    "tiny losses": lambda r: r.assign(loss=1e-310 * r["loss"]),
    "negative losses": lambda r: r.assign(loss=-r["loss"]),
    "losses around zero": lambda r: r.assign(loss=r["loss"] - 0.5),
    "whether losses are large": lambda r: r.assign(loss=r["loss"] > 0.5),
    "constant losses": lambda r: r.assign(loss=0 * r["loss"] + 3),
    "no points": lambda r: r.isel(point=slice(0, 0)),
    "kernels of other points": lambda r: r.isel(point=[0]),
    "losses without steps": lambda r: r.assign(loss=r["loss"].isel(step=0, drop=True)),
    "predictions without steps": lambda r: r.assign(prediction=r["prediction"].isel(step=0, drop=True)),
    "half precision": lambda r: r.astype("float16"),
    "tables that are none": lambda r: r.assign_attrs(study='{"network": [1], "training": 3}'),
    "a study nested without end": lambda r: r.assign_attrs(study="[" * 100_000),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_missing_or_overflows_is_no_inconsistency(records, name):
    """A correct ensemble of which a part cannot be used; 34 verdicts, each wrong with probability 0.002."""
    odd = ODD[name](records)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        found = audit(odd, alpha=0.002)
    assert found.verdict != "inconsistent"
    json.dumps(found.to_json(), allow_nan=False)
    json.loads(Audited(found).text())


@pytest.mark.parametrize("name", ["predictions not at one point", "kernels of one layer", "half precision"])
def test_a_fault_is_found_beside_what_is_missing(records, name):
    found = audit(ODD[name](embedding_rate(records)))
    assert found.verdict == "inconsistent" and found.rows[0].where["tensor"] == "embedding"


def test_kernels_are_compared_at_the_steps_at_which_they_were_recorded(records):
    sparse = missing("feature_kernel", step=[1, 2, 4, 5, 7])(records)
    whole = audit(records.isel(step=[0, 3, 6, 8]), claims=["feature_kernel", "kernel_change"])
    found = audit(sparse, claims=["feature_kernel", "kernel_change"])
    assert [r.to_json() for r in found.rows] == [r.to_json() for r in whole.rows]


def test_a_layer_that_is_missing_leaves_the_others(records):
    found = audit(missing("feature_kernel", layer=0)(records), claims=["feature_kernel"])
    verdicts = {r.where["layer"]: r.verdict for r in found.rows if r.judges}
    assert len(verdicts) == 2 and list(verdicts.values()).count("underpowered") == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.assign_coords(step=np.arange(9) / 10), "`step` = .*whole numbers from 0 on"),
        (lambda r: r.assign_coords(step=np.arange(9) - 5), "`step` = .*whole numbers from 0 on"),
        (lambda r: r.assign_coords(step=np.arange(9) * 1e300), "`step` = .*whole numbers from 0 on"),
        (lambda r: r.assign_coords(width=2**53 - np.arange(4)), "positive whole numbers"),
        (lambda r: r.assign_coords(width=np.array([1, 2, 3, 4], object)), "give whole numbers"),
        (lambda r: r.assign(done=(("width", "seed"), np.zeros((4, 6), bool))), "no network is done"),
        (lambda r: r.assign(prediction=r["prediction"].astype(complex)), "complex128, not numbers"),
    ],
)
def test_labels_that_are_none_are_refused(records, change, message):
    with pytest.raises(InputError, match=message):
        audit(change(records))


def test_networks_that_agree_until_they_diverge_are_copies(records):
    """Also where they are zero: what has no scatter is no evidence."""
    for value in (0.0, 2.5):
        same = records[["loss"]].map(lambda v, value=value: v * 0 + value)
        found = audit(same.where(same["step"] < 8))
        assert found.evidence["seeds"] == 1 and found.verdict == "underpowered"


def test_networks_of_equal_predictions_and_other_losses_are_no_copies(records):
    found = audit(records.assign(prediction=0 * records["prediction"]), claims=["loss_curves"])
    assert found.evidence["seeds"] == 6


def test_descriptions_alone_are_no_verdict(records):
    found = audit(records, claims=["onset"])
    assert found.rows and not any(r.judges for r in found.rows) and found.verdict == "underpowered"
    assert audit_of(row(), row(p_value=None)).verdict == "consistent"


def test_none_that_diverged_is_no_evidence(records):
    rows = audit(records, claims=["large_rate"]).rows
    assert not next(r for r in rows if r.where["quantity"] == "diverged networks").judges


def test_a_test_whose_numbers_overflowed_tells_nothing():
    found = judge([Hypothesis(claim="scales", where={}, p_value=np.nan, estimate=np.inf)], 0.05)
    assert found[0].verdict == "underpowered" and found[0].p_value is None


def test_of_very_many_steps_some_are_read(records, monkeypatch):
    monkeypatch.setattr(ensemble_view, "MOST_STEPS", 4)
    seen = ensemble_view.measure(records, 0.05, AuditSettings())
    assert seen.steps.tolist() == [0, 1, 2, 128] and seen.records.sizes["step"] == 4


def test_of_very_many_points_as_many_are_read_as_fit(records, monkeypatch):
    """Of 12 points 3: each network's part of the bound."""
    monkeypatch.setattr(reading, "SLAB_BYTES", 8 * 24 * 3)
    array = records["prediction"]
    assert reading.thinned(array, AuditSettings())["point"].tolist() == [0, 6, 11]
    part = reading.read_part(array, {"width": 1}, AuditSettings())
    assert np.array_equal(part, array.isel(width=1, point=[0, 6, 11]).to_numpy())
    monkeypatch.setattr(reading, "LARGE_BYTES", 0)
    assert np.array_equal(part, reading.read_part(array, {"width": 1}, AuditSettings()))
