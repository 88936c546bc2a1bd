"""Root mean squares of theory, against sums written out."""

import numpy as np
import pytest
import xarray as xr
from synthetic_run import Truth, make_theory

from widthwise.analysis import scan_series, theory_series

TRUTH = Truth(steps=5, train=3, test=2)


@pytest.fixture
def theory():
    return make_theory(TRUTH)


def series_of(theory, label):
    return next(series for series in theory_series(theory) if series.label == label)


def test_every_part_is_there_in_the_schemas_order(theory):
    assert [series.label for series in theory_series(theory)] == [
        "prediction, train", "prediction, test", "loss, train", "loss, test",
        "feature_kernel, layer 1", "tangent_kernel",
    ]  # fmt: skip


def test_predictions_are_root_mean_squares_over_the_points_of_a_split(theory):
    series = series_of(theory, "prediction, test")
    value, variance, shift = (
        theory[f"prediction{s}"].to_numpy()[:, 3:, 0] for s in ("", "_variance", "_shift")
    )
    for t in range(1, TRUTH.steps):
        rms = np.sqrt(sum(v**2 for v in value[t]) / 2)
        assert series.value[t] == pytest.approx(rms)
        assert series.variance[t] == pytest.approx(sum(variance[t]) / 2)
        assert series.relative_spread[t] == pytest.approx(np.sqrt(sum(variance[t]) / 2) / rms)
        assert series.relative_shift[t] == pytest.approx(np.sqrt(sum(s**2 for s in shift[t]) / 2) / rms)


def test_the_shift_is_what_changes_the_value(theory):
    """A network so wide that the square of the shift is nothing: the change of the root mean square."""
    width = 1e6
    moved = theory.copy(deep=True)
    moved["prediction"] = theory["prediction"] + theory["prediction_shift"] / width
    for label in ("prediction, train", "loss, test", "tangent_kernel"):
        if not label.startswith("prediction"):
            name = label.partition(",")[0]
            moved[name] = theory[name] + theory[f"{name}_shift"] / width
        before, after = series_of(theory, label), series_of(moved, label)
        change = width * (after.value - before.value)
        np.testing.assert_allclose(change[1:], before.shift[1:], rtol=1e-5, atol=1e-6)


def test_a_pair_of_points_of_a_kernel_counts_once(theory):
    kernel = theory["tangent_kernel"].to_numpy()
    upper = [kernel[-1, i, j] for i in range(5) for j in range(i, 5)]
    series = series_of(theory, "tangent_kernel")
    assert series.value[-1] == pytest.approx(np.sqrt(np.mean(np.square(upper))))


def test_errors_add_up_as_if_they_were_one(theory):
    """All elements off by their standard errors, each away from zero: the value moves by its error."""
    theory["prediction_stderr"] = 1e-6 * (1 + theory["point"]) * xr.ones_like(theory["prediction"])
    moved = theory.copy(deep=True)
    moved["prediction"] = theory["prediction"] + np.sign(theory["prediction"]) * theory["prediction_stderr"]
    before, after = series_of(theory, "prediction, train"), series_of(moved, "prediction, train")
    np.testing.assert_allclose((after.value - before.value)[1:], before.error[1:], rtol=1e-4)


def test_the_error_of_the_relative_spread_follows_from_its_parts(theory):
    theory["loss_variance_stderr"] = 0.02 * theory["loss_variance"]
    theory["loss_stderr"] = 0.001 * theory["loss"]
    series = series_of(theory, "loss, train")
    np.testing.assert_allclose(
        series.relative_spread_error[1:], 0.011 * series.relative_spread[1:], rtol=1e-9
    )


def test_nothing_is_relative_to_zero(theory):
    theory["prediction_stderr"] = 0.1 + 0.0 * theory["prediction"]
    theory["prediction"][1] = 0.05
    series = series_of(theory, "prediction, train")
    assert series.resolved.tolist() == [False, False, True, True, True]
    assert np.isnan(series.relative_spread[:2]).all() and np.isfinite(series.relative_spread[2:]).all()


def test_what_was_not_computed_is_none(theory):
    alone = series_of(theory.drop_vars(["loss_variance", "loss_shift"]), "loss, train")
    assert alone.variance is None and alone.relative_spread is None
    assert alone.shift is None and alone.relative_shift is None
    theory["loss_shift"] = np.nan * theory["loss_shift"]
    assert series_of(theory, "loss, train").shift is None


def test_after_a_divergence_nothing_is_known(theory):
    theory["prediction"][3:] = np.nan
    series = series_of(theory, "prediction, train")
    assert np.isfinite(series.relative_spread).tolist() == [False, True, True, False, False]


def test_a_scan_runs_along_the_richness(theory):
    scan = theory["prediction"].isel(step=[1, 3]).rename(step="richness").assign_coords(richness=[0.5, 2.0])
    theory["scan_prediction"] = scan
    loss = theory["loss"].isel(step=[1, 3]).rename(step="richness").assign_coords(richness=[0.5, 2.0])
    theory["scan_loss"], theory["scan_loss_variance"] = loss, 4 * loss**2
    found = {series.label: series for series in scan_series(theory)}
    assert list(found) == [
        "scan_prediction, train", "scan_prediction, test", "scan_loss, train", "scan_loss, test"
    ]  # fmt: skip
    assert found["scan_loss, test"].steps.tolist() == [0.5, 2.0]
    np.testing.assert_allclose(found["scan_loss, test"].value, loss[:, 1])
    np.testing.assert_allclose(found["scan_loss, test"].relative_spread, 2.0)
    whole = series_of(theory, "prediction, test").value[[1, 3]]
    np.testing.assert_allclose(found["scan_prediction, test"].value, whole)
    assert scan_series(make_theory(TRUTH)) == []
