"""Hostile files and places before `widthwise audit`: one message, an honest verdict, nothing destroyed."""

import csv
import json
import stat
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr
from audited import HOSTILE, records_of, write_store
from commands import assert_refused, call
from synthetic_records import STEPS, correct_records


def log_of(loss) -> str:
    """A log of four widths of four seeds whose loss is a function of width, seed and step."""
    rows = [(w, s, t, loss(w, s, t)) for w in (64, 128, 256, 512) for s in range(4) for t in range(5)]
    return "width,seed,step,loss\n" + "\n".join(",".join(map(str, row)) for row in rows)


SILENT = {
    "zero": lambda w, s, t: 0,
    "constant": lambda w, s, t: 1,
    "negative": lambda w, s, t: -1 - s / w,
    "alike until all diverge": lambda w, s, t: 2.5 if t < 3 else "nan",
    "beyond what can be squared": lambda w, s, t: 1e308 if w > 100 else 1 + s,
}


@pytest.mark.parametrize("name", SILENT)
def test_a_log_that_says_nothing_is_underpowered(folder, name):
    (folder / "log.csv").write_text(log_of(SILENT[name]))
    result = call("audit", "log.csv")
    assert result.exit_code == 3, result.output
    assert "UNDERPOWERED" in result.stdout and "nan" not in result.stdout.lower()


def test_a_device_is_never_replaced_by_a_file(folder):
    (folder / "log.csv").write_text(log_of(lambda w, s, t: 1 + s / w))
    assert_refused(call("audit", "log.csv", "--junit", "/dev/null"), "a folder or a device")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def with_theory(folder, change=lambda theory: theory):
    """A run's folder with a theory of the same targets."""
    records = correct_records(np.random.default_rng(3))[["loss", "prediction", "target", "diverged_at"]]
    write_store(records, folder / "run" / "records.zarr")
    f = records["prediction"].mean(("width", "seed"))
    theory = xr.Dataset(
        {
            "prediction": (("step", "point", "output"), f.to_numpy()),
            "prediction_variance": (("step", "point", "output"), np.full((len(STEPS), 12, 1), 0.7)),
            "target": records["target"],
        },
        coords={"step": STEPS},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        change(theory).to_netcdf(folder / "run" / "theory.nc", engine="h5netcdf")


SPOILED = {
    "texts": (lambda t: t.assign(prediction=t["prediction"].astype(str)), "`prediction` has type"),
    "texts as variance": (
        lambda t: t.assign(prediction_variance=t["prediction"].astype(str)),
        "`prediction_variance` has type",
    ),
    "no steps": (lambda t: t.drop_vars("step"), "no coordinate `step`"),
    "steps twice": (lambda t: t.assign_coords(step=[0] * len(STEPS)), "no coordinate `step`"),
    "steps in words": (lambda t: t.assign_coords(step=list("abcdefghi")), "no coordinate `step`"),
    "falling steps": (lambda t: t.isel(step=slice(None, None, -1)), "no coordinate `step`"),
    "other dimensions": (
        lambda t: t.assign(prediction_variance=t["prediction_variance"][0]),
        "`prediction_variance` has dimensions",
    ),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_spoiled_theory_is_refused(folder, name):
    change, message = SPOILED[name]
    with_theory(folder, change)
    assert_refused(call("audit", "run"), "theory.nc", message)


ASIDE = {
    "nowhere finite": lambda t: t.assign(prediction=t["prediction"] * np.nan),
    "beyond floats": lambda t: t.assign(prediction=t["prediction"] * 1e200),
    "other points": lambda t: t.isel(point=slice(0, 5)),
    "other steps": lambda t: t.assign_coords(step=t["step"] + 1000),
    "other targets": lambda t: t.assign(target=t["target"] + 1),
}


@pytest.mark.parametrize("name", ASIDE)
def test_a_theory_that_does_not_belong_to_the_records_is_left_aside(folder, name):
    with_theory(folder, ASIDE[name])
    result = call("audit", "run", "--claims", "theory,onset")
    assert result.exit_code == 3 and "theory is left aside" in " ".join(result.stdout.split()), result.output


def test_a_theory_whose_errors_overflow_decides_nothing(folder):
    with_theory(folder, lambda t: t.assign(prediction_variance=t["prediction_variance"] * 1e300))
    assert call("audit", "run").exit_code in (0, 3)


def attributes(**changed):
    def change(store):
        group = zarr.open_group(store, mode="r+", use_consolidated=False)
        group.attrs.update(changed)

    return change


def put(name, values, dims):
    def change(store):
        group = zarr.open_group(store, mode="r+", use_consolidated=False)
        kind = "string" if values.dtype == object else values.dtype
        array = group.create_array(name, shape=values.shape, dtype=kind, dimension_names=dims)
        array[...] = values

    return change


def spoil_attributes(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"attributes": [1]}))


ODD = {
    "a study nested without end": attributes(study="[" * 100_000),
    "a study of no tables": attributes(study='{"network": [1], "training": {"loss": {"a": 1}}}'),
    "coordinates that climb": attributes(coordinates="../../etc tensor_role"),
    "notes that are none": attributes(notes="{"),
    "attributes that are a list": lambda store: spoil_attributes(store / "loss" / "zarr.json"),
    "targets not finite": put("target", np.full((12, 1), np.nan), ("point", "output")),
    "hostile splits": put("split", np.array([HOSTILE] * 11 + ["\x1b[2J\0"], object), ("point",)),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_attributes_and_names_are_no_obstacle(folder, name):
    store = write_store(records_of("correct"), folder / "run" / "records.zarr")
    ODD[name](store)
    result = call("audit", "run", "--junit", "a.xml")
    assert result.exit_code in (0, 3), result.output
    shown = result.stdout + (folder / "a.xml").read_text() + (folder / "run" / "report.html").read_text()
    assert HOSTILE not in (folder / "run" / "report.html").read_text()
    assert "\x1b" not in shown and "\0" not in shown
    json.loads((folder / "run" / "verdict.json").read_text())


def test_records_that_curves_cannot_be_drawn_of_are_audited(folder):
    """Predictions at some steps only, in a run's folder, where the page wants curves of them."""
    records = records_of("correct")
    sparse = records["prediction"].where(records["step"] % 2 == 0).transpose(*records["prediction"].dims)
    write_store(records.assign(prediction=sparse), folder / "run" / "records.zarr")
    assert call("audit", "run").exit_code in (0, 3)
    assert "curves are not shown" in (folder / "run" / "report.html").read_text()


def test_damage_that_only_the_page_meets_is_one_message(folder):
    """A kernel without a checksum, of which the audit's claim needs nothing."""
    records = correct_records(np.random.default_rng(3))[["loss", "feature_kernel", "diverged_at"]]
    store = write_store(records, folder / "run" / "records.zarr")
    for path in (store / "feature_kernel" / "c").rglob("*"):
        if path.is_file():
            path.write_bytes(path.read_bytes()[:9])
    assert_refused(call("audit", "run", "--claims", "onset", "--quiet"), "records.zarr is damaged")
    assert_refused(call("audit", "run", "--quiet"), "`feature_kernel` is damaged")


def test_columns_that_come_twice_are_refused(folder):
    with (folder / "log.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["width", "Width ", "seed", "step", "loss"], [64, 8, 0, 0, 1.0]])
    assert_refused(call("audit", "log.csv"), "2 columns width")
