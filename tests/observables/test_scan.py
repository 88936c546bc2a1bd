"""The richness scan: each value is the study solved at that richness, and what diverges says so."""

import json
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import widthwise as ww
from widthwise.observables import has_scan_of, theory_hash
from widthwise.records.schema import SCAN_VARIABLES

SCAN = (2.0, 0.5)  # not in order, and without the study's own
STUDY = ww.Study(
    name="scan",
    training=ww.TrainingSettings(steps=5, learning_rate=0.2),
    theory=ww.TheorySettings(
        sites=64, fluctuation_sites=64, scramblings=2, observables=("loss",), richness_scan=SCAN
    ),
)


class Heard:
    """Keeps what it is told."""

    def __init__(self):
        self.stages, self.done, self.said = [], 0, []

    def start(self, label: str, total: int, parts=()) -> None:
        self.stages.append((label, total))

    def advance(self, amount: int = 1) -> None:
        self.done += amount

    def say(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(3)
    return ww.Points(rng.standard_normal((3, 4)), rng.standard_normal((3, 2)), 2)


def scanned(study, points, progress):
    limit = ww.solve_infinite_width(study, points=points, throw=False)
    theory = ww.solve_fluctuations(limit)
    return theory, ww.add_richness_scan(theory, limit, progress=progress)


@pytest.fixture(scope="module")
def both(points):
    heard = Heard()
    return *scanned(STUDY, points, heard), heard


def test_every_richness_is_the_study_solved_there(both, points):
    _, scan, _ = both
    assert scan["richness"].to_numpy().tolist() == [0.5, 2.0]
    for richness in SCAN:
        settings = replace(STUDY.theory, observables=("prediction", "loss"), richness_scan=())
        study = replace(STUDY, network=ww.NetworkSettings(richness=richness), theory=settings)
        alone = ww.solve_fluctuations(ww.solve_infinite_width(study, points=points)).isel(step=-1)
        here = scan.sel(richness=richness)
        for name in ("prediction", "loss"):
            for suffix in ("", "_variance", "_shift", "_stderr", "_variance_stderr", "_shift_stderr"):
                found, expected = here[f"scan_{name}{suffix}"], alone[f"{name}{suffix}"]
                size = float(np.abs(expected).max())
                np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9 * size, err_msg=suffix)
    differs = scan["scan_loss_variance"].isel(richness=0) / scan["scan_loss_variance"].isel(richness=1)
    assert (np.abs(differs - 1) > 0.1).all(), "so that the order of the richnesses is tested"


def test_the_rest_of_the_theory_is_untouched_and_progress_is_shown(both):
    theory, scan, heard = both
    xr.testing.assert_identical(scan[list(theory.variables)].drop_vars("richness", errors="ignore"), theory)
    for name, schema in SCAN_VARIABLES.items():
        assert scan[name].dims == schema.dims and scan[name].attrs["long_name"]
    assert (heard.stages, heard.done, heard.said) == ([("richness scan", 2)], 2, [])


def test_a_file_keeps_the_scan(both, tmp_path):
    _, scan, _ = both
    with ww.read_theory(ww.write_theory(scan, tmp_path / "theory.nc")) as read:
        xr.testing.assert_equal(read.load(), scan)
        assert has_scan_of(read, STUDY)


def test_a_richness_that_diverges_is_missing_and_told(points):
    study = replace(
        STUDY,
        training=ww.TrainingSettings(steps=40, learning_rate=0.2),
        theory=replace(STUDY.theory, richness_scan=(0.01, 300.0)),
        network=ww.NetworkSettings(richness=0.01, activation="linear"),
    )
    heard = Heard()
    _, scan = scanned(study, points, heard)
    finite = np.isfinite(scan["scan_loss_variance"]).all("split").to_numpy()
    assert finite.tolist() == [True, False]
    assert np.isnan(scan["scan_prediction"].sel(richness=300.0)).all()
    assert heard.said == ["richness 300: diverged"]
    assert any("diverged at richness 300:" in warning for warning in json.loads(scan.attrs["warnings"]))


def test_where_everything_diverges_companions_are_absent(points):
    study = replace(
        STUDY,
        training=ww.TrainingSettings(steps=40, learning_rate=500.0),
        theory=replace(STUDY.theory, richness_scan=(1.0,)),
    )
    _, scan = scanned(study, points, Heard())
    assert np.isnan(scan["scan_loss"]).all() and "scan_loss_variance" not in scan


def test_without_a_scan_nothing_is_added(points):
    study = replace(STUDY, theory=replace(STUDY.theory, richness_scan=()))
    heard = Heard()
    theory, same = scanned(study, points, heard)
    assert same is theory and heard.stages == []
    assert has_scan_of(theory, study) and not has_scan_of(theory, STUDY)


def test_the_hash_of_the_theory_depends_on_the_scan(points):
    other = replace(STUDY, theory=replace(STUDY.theory, richness_scan=(2.0, 0.5, 1.0)))
    assert theory_hash(STUDY, points) != theory_hash(other, points)
