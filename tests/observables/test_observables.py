"""Labels, companions, files and warnings of the theory."""

import json

import numpy as np
import pytest
import xarray as xr

import widthwise as ww
from widthwise.errors import InputError
from widthwise.observables.validity import validity_warnings
from widthwise.records.schema import SCHEMA_VERSION, VARIABLES

THEORY = ww.TheorySettings(
    sites=64,
    fluctuation_sites=64,
    scramblings=2,
    observables=("prediction", "loss", "feature_kernel", "gradient_kernel", "tangent_kernel"),
)


def solved(points, **settings):
    tables = {"training": ww.TrainingSettings(steps=4), "theory": THEORY} | settings
    study = ww.Study(name="small", **tables)
    limit = ww.solve_infinite_width(study, points=points, throw=False)
    return ww.solve_fluctuations(limit)


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(0)
    return ww.Points(rng.standard_normal((3, 4)), rng.standard_normal((3, 2)), 2)


@pytest.fixture(scope="module")
def theory(points):
    return solved(points)


def test_every_variable_has_its_dimensions_and_companions(theory):
    for name in THEORY.observables:
        assert theory[name].dims == VARIABLES[name].dims
        for companion in ("stderr", "variance", "variance_stderr", "shift", "shift_stderr"):
            assert theory[f"{name}_{companion}"].dims == VARIABLES[name].dims
            assert np.isfinite(theory[f"{name}_{companion}"]).all()
    assert theory["split"].to_numpy().tolist() == ["train", "train", "test"]


def test_two_time_covariance_has_the_variance_on_its_diagonal_and_is_positive(theory):
    covariance = theory["prediction_two_time_covariance"].to_numpy()
    diagonal = np.einsum("ttpc->tpc", covariance)
    np.testing.assert_allclose(diagonal, theory["prediction_variance"], rtol=1e-10, atol=1e-14)
    for point in range(3):
        eigenvalues = np.linalg.eigvalsh(covariance[:, :, point, 0])
        assert eigenvalues[0] > -1e-12 * eigenvalues[-1]


def test_a_file_reads_back_the_same(theory, tmp_path):
    path = ww.write_theory(theory, tmp_path / "theory.nc")
    with ww.read_theory(path) as read:
        xr.testing.assert_equal(read.load(), theory)
        assert read.attrs["theory_hash"] == theory.attrs["theory_hash"]
    assert [p.name for p in tmp_path.iterdir()] == ["theory.nc"]


def test_files_that_are_no_theory_are_refused(theory, tmp_path):
    path = tmp_path / "theory.nc"
    with pytest.raises(InputError, match="no such file"):
        ww.read_theory(path)
    path.write_text("not netCDF")
    with pytest.raises(InputError, match="cannot be read"):
        ww.read_theory(path)
    ww.write_theory(theory.assign_attrs(schema_version=SCHEMA_VERSION + 1), path)
    with pytest.raises(InputError, match="update widthwise"):
        ww.read_theory(path)


def test_permuting_training_points_permutes_the_theory(points):
    swapped = ww.Points(points.inputs[[1, 0, 2]], points.targets[[1, 0, 2]], 2)
    large = ww.TheorySettings(sites=1024, fluctuation_sites=1024, scramblings=4)
    a, b = solved(points, theory=large), solved(swapped, theory=large)
    for name in ("prediction", "prediction_variance"):
        error = 6 * np.hypot(a[f"{name}_stderr"], b[f"{name}_stderr"].isel(point=[1, 0, 2])) + 1e-12
        assert (np.abs(a[name].to_numpy() - b[name].isel(point=[1, 0, 2]).to_numpy()) < error).all()
    assert float(a["prediction_variance_stderr"].max() / a["prediction_variance"].max()) < 0.05


def test_a_test_point_does_not_change_training_results():
    """With the same Gaussians on the training points, which a test point that repeats one of them leaves."""
    one = ww.Points(np.ones((1, 2)), np.ones((1, 1)), 1)
    two = ww.Points(np.ones((2, 2)), np.ones((2, 1)), 1)
    a, b = solved(one), solved(two)
    for name in ("prediction", "prediction_variance", "prediction_shift"):
        for point in (0, 1):
            np.testing.assert_allclose(
                b[name].isel(point=point), a[name].isel(point=0), rtol=1e-6, atol=1e-10
            )


def test_identical_training_points_are_one_point_trained_harder():
    """Two copies of a point pull twice: the same as one point at twice the rate."""
    one = ww.Points(np.ones((1, 2)), np.ones((1, 1)), 1)
    two = ww.Points(np.ones((2, 2)), np.ones((2, 1)), 2)
    a = solved(one, training=ww.TrainingSettings(steps=4, learning_rate=0.2))
    b = solved(two, training=ww.TrainingSettings(steps=4, learning_rate=0.1))
    for name in ("prediction", "prediction_variance", "prediction_shift"):
        np.testing.assert_allclose(b[name].isel(point=0), a[name].isel(point=0), rtol=1e-6, atol=1e-10)


def test_richness_and_target_scale_together():
    """(gamma, y) -> (c gamma, y / c): kernels and their N Var stay, N Var of outputs goes by 1 / c^2."""
    inputs = np.ones((1, 2))
    a = solved(ww.Points(inputs, np.array([[1.0]]), 1), network=ww.NetworkSettings(richness=1.0))
    b = solved(ww.Points(inputs, np.array([[0.5]]), 1), network=ww.NetworkSettings(richness=2.0))
    for name in ("tangent_kernel", "tangent_kernel_variance", "tangent_kernel_shift"):
        np.testing.assert_allclose(a[name], b[name], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(a["prediction_variance"], 4 * b["prediction_variance"], rtol=1e-9, atol=1e-14)


def test_targets_that_vanish_move_nothing():
    still = ww.Points(np.ones((1, 2)), np.zeros((1, 1)), 1)
    theory = solved(still)
    np.testing.assert_allclose(theory["prediction"], 0.0, atol=1e-14)
    assert (theory["tangent_kernel"].to_numpy() == theory["tangent_kernel"].to_numpy()[:1]).all()


def test_warnings_name_what_is_wrong(points):
    many = solved(points, ensemble=ww.EnsembleSettings(widths=(2,)))
    warnings = json.loads(many.attrs["warnings"])
    assert any("training points against width 2" in warning for warning in warnings)
    wild = solved(points, training=ww.TrainingSettings(steps=60, learning_rate=500.0))
    assert any("diverged" in warning for warning in json.loads(wild.attrs["warnings"]))
    assert wild.attrs["outcome"].startswith("diverged")
    assert np.isnan(wild["prediction"].isel(step=-1)).all()


@pytest.mark.parametrize(("substeps", "warned"), [(1, True), (64, False)])
def test_steps_of_a_flow_that_are_too_coarse_are_told(substeps, warned):
    """At a rate of 1 the error falls as the fourth power of the substeps, from above to below 1e-5."""
    flow = ww.TrainingSettings(steps=4, optimizer="gradient_flow", learning_rate=1.0, substeps=substeps)
    theory = solved(ww.Points(np.ones((1, 2)), np.ones((1, 1)), 1), training=flow)
    told = [each for each in json.loads(theory.attrs["warnings"]) if "training.substeps" in each]
    assert bool(told) == warned


@pytest.mark.parametrize(
    ("richness", "left", "warned"), [(3.0, 0.98, True), (3.0, 1.02, False), (2.9, 0.98, False)]
)
def test_a_rich_network_whose_variance_has_died_out_is_told(theory, richness, left, warned):
    """Below a thousandth of its largest, and the richness from 3 on."""
    late = theory.copy(deep=True)
    late["prediction_variance"][:] = 0.0
    late["prediction_variance"][1], late["prediction_variance"][-1] = 1.0, left * 1e-3
    study = ww.Study(name="late", network=ww.NetworkSettings(richness=richness))
    told = [each for each in validity_warnings(late, study, 2, 64) if "died out" in each]
    assert bool(told) == warned
