"""Until which step order 1/N is printed, and that it is right there: beside networks trained in NumPy."""

from dataclasses import replace

import numpy as np
import pytest

from widthwise.data import Points
from widthwise.fluctuations.horizon import (
    NEXT_ORDER,
    Companions,
    Leading,
    OrderOfN,
    leading,
    replaced,
    unstable_from,
)
from widthwise.infinite_width import solve_infinite_width
from widthwise.infinite_width.order_parameters import OrderParameters
from widthwise.observables import solve_fluctuations
from widthwise.study import NetworkSettings, RecordSettings, Study, TheorySettings, TrainingSettings

SLOPES = {
    "relu": (lambda h: np.maximum(h, 0), lambda h: (h > 0).astype(float)),
    "tanh": (np.tanh, lambda h: 1 - np.tanh(h) ** 2),
}


def on_the_sphere(count, dimension, seed):
    rng = np.random.default_rng(seed)
    inputs = rng.standard_normal((count, dimension))
    inputs *= np.sqrt(dimension) / np.linalg.norm(inputs, axis=1, keepdims=True)
    return Points(inputs, np.sign(rng.standard_normal((count, 1))), count)


def networks(study, points, width, count, seed):
    """Predictions (network, step, point) and K's diagonal, of independent networks trained in plain NumPy."""
    rng = np.random.default_rng(seed)
    phi, slope = SLOPES[study.network.activation]
    gamma, rate = study.network.richness, study.training.learning_rate
    kernel = points.inputs @ points.inputs.T / points.inputs.shape[1]
    root = np.linalg.cholesky(kernel + 1e-12 * np.eye(len(kernel)))
    h = rng.standard_normal((count, width, len(kernel))) @ root.T
    w = rng.standard_normal((count, width))
    start, found = 0.0, []
    for step in range(study.training.steps):
        output = np.einsum("ei,eip->ep", w, phi(h)) / (gamma * width) - start
        if step == 0 and study.network.centered:
            start, output = output, 0 * output
        found.append(output)
        residual = points.targets[:, 0] - output
        force = residual[:, None] * w[..., None] * slope(h)
        w = w + rate * gamma * np.einsum("eip,ep->ei", phi(h), residual)
        h = h + rate * gamma * force @ kernel
    return np.stack(found, axis=1)


def study_of(activation, rate, steps, *, centered=True, scramblings=4):
    return Study(
        name="horizon",
        network=NetworkSettings(activation=activation, centered=centered),
        training=TrainingSettings(learning_rate=rate, steps=steps),
        theory=TheorySettings(
            sites=1024, fluctuation_sites=1024, scramblings=scramblings, observables=("prediction",)
        ),
        record=RecordSettings(steps=(0, steps // 2, steps - 1)),
    )


def test_where_a_few_unstable_paths_own_the_derivatives_networks_without_them_are_right():
    """ReLU; by derivatives the shift was 2e8 at the last step. Within 4 combined errors of 4,000 networks and
    5 % for the order after; 3e-4 of seeds for each of 12 numbers."""
    study, points, width = (
        study_of("relu", 0.08, 30, centered=False, scramblings=8),
        on_the_sphere(4, 3, 2),
        512,
    )
    theory = solve_fluctuations(solve_infinite_width(study, points=points))
    assert "networks" in theory.attrs["estimator"]
    whole, half = (networks(study, points, size, 4000, size) for size in (width, width // 2))
    for step in (1, 2):
        at = int(theory["step"][step])
        seen = width * whole[:, at].var(axis=0, ddof=1)
        here = theory.isel(step=step, output=0)
        error = np.hypot(here["prediction_variance_stderr"], seen * np.sqrt(2 / 4000))
        assert (np.abs(here["prediction_variance"] - seen) < 4 * error + 0.05 * seen).all()
        shift = width * (half[:, at].mean(axis=0) - whole[:, at].mean(axis=0))
        scatter = width * np.sqrt((half[:, at].var(axis=0) + whole[:, at].var(axis=0)) / 4000)
        assert (
            np.abs(here["prediction_shift"] - shift) < 4 * np.hypot(here["prediction_shift_stderr"], scatter)
        ).all()
        assert (here["prediction_shift_stderr"] < 2).all(), "an error that says nothing"


@pytest.mark.long
def test_where_no_leading_order_is_seen_nothing_is_printed_and_why_is_said():
    """tanh beyond the edge of stability: N Var f grows with N up to networks of 8,192."""
    study = replace(study_of("tanh", 0.75, 24, scramblings=8), record=RecordSettings(steps="all"))
    theory = solve_fluctuations(solve_infinite_width(study, points=on_the_sphere(3, 3, 2)))
    until = theory.attrs["prediction_shift_trusted_until"]
    assert 2 < until < 23
    assert "no leading order" in theory.attrs["prediction_shift_why"]
    assert "trusted until step" in theory.attrs["warnings"]
    for name in ("prediction_shift", "prediction_variance"):
        assert np.isfinite(theory[name].sel(step=slice(None, theory.attrs[f"{name}_trusted_until"]))).all()
        assert np.isnan(theory[name].sel(step=slice(theory.attrs[f"{name}_trusted_until"] + 1, None))).all()
        assert float(np.abs(theory[name]).max()) < 1e3, "never a number that no network has"
    assert np.isfinite(theory["prediction"]).all(), "infinite width itself stays"


def test_where_paths_are_stable_derivatives_stay():
    study, points = study_of("tanh", 0.1, 20), on_the_sphere(3, 6, 0)
    theory = solve_fluctuations(solve_infinite_width(study, points=points))
    assert theory.attrs["estimator"] == "derivatives"
    assert theory.attrs["prediction_shift_trusted_until"] == 19 and not theory.attrs["prediction_shift_why"]


def levels(first, second, scatter, blocks=8):
    """q(S), q(S/2) of one number at one step, with scatter of blocks in common."""
    rng = np.random.default_rng(0)
    return [np.array([[[first]], [[second]]]) + scatter * rng.standard_normal() for _ in range(blocks)]


@pytest.mark.parametrize(
    ("first", "second", "value", "reached"),
    [(1.0, 1.1, 0.9, True), (1.0, 1.5, 0.5, False), (1.0, 1.0, 1.0, True)],
)
def test_the_next_order_is_removed_and_what_is_large_is_refused(first, second, value, reached):
    found = leading(levels(first, second, 0.01))
    assert abs(found.value.item() - value) < 0.02 and bool(found.reached[0]) == reached
    left = abs(first - second) ** 2
    assert found.stderr.item() > 0.9 * left, "what may be left of the next order is in the error"
    assert abs(first - second) <= NEXT_ORDER or not found.reached[0]


def test_few_sites_are_seen_at_their_first_step():
    stable, few = np.array([0.0, 300, 280, 290]), np.array([0.0, 300, 20, 290])
    assert unstable_from([stable, stable], 512) is None
    assert unstable_from([stable, few], 512) == 2
    assert unstable_from([np.array([0.0, 30.0])], 128) is None, "few of few sites"


def orders(value, steps=4):
    kernels = (
        np.full((steps, 1, 2, 2), value),
        np.full((steps, 1, 2, 2), value),
        np.full((steps, 2, 2), value),
    )
    return OrderParameters(np.full((steps, 2, 1), value), np.full((steps, 1), value), *kernels)


def by_networks(value, error, reached):
    marks = np.array(reached)
    named = {
        name: Leading(leaf, np.full_like(leaf, error), marks)
        for name, leaf in orders(value)._asdict().items()
    }
    two_time = Leading(np.full((4, 4, 2, 1), value), np.full((4, 4, 2, 1), error), marks)
    return OrderOfN(named, named, two_time)


def test_numbers_are_replaced_from_the_unstable_step_and_end_where_networks_do():
    before = Companions(*map(orders, (1.0, 0.01, 1.0, 0.01)), np.ones((4, 4, 2, 1)), np.ones((4, 4, 2, 1)))
    after, horizons = replaced(
        before, 2, by_networks(1.01, 0.02, [True, True, True, False]), np.arange(0, 40, 10)
    )
    assert after.shift.prediction[:, 0, 0].tolist()[:3] == [1.0, 1.0, 1.01]
    assert np.isnan(after.shift.prediction[3]).all() and np.isnan(after.variance_stderr.loss[3]).all()
    assert horizons["loss_variance"].until == 20 and "step 30" in horizons["loss_variance"].why
    assert after.two_time is not None
    assert np.isnan(after.two_time[3]).all() and np.isnan(after.two_time[:, 3]).all()
    assert (
        after.two_time[2, 0, 0, 0] == after.two_time[0, 2, 0, 0] == 1.01 and after.two_time[1, 1, 0, 0] == 1
    )


def test_two_estimates_that_disagree_are_no_estimate_by_derivatives():
    before = Companions(*map(orders, (1.0, 0.01, 1.0, 0.01)), None, None)
    agreeing, _ = replaced(before, None, by_networks(1.05, 0.02, [True] * 4), np.arange(4))
    assert (agreeing.variance.loss == 1.0).all()
    apart, _ = replaced(before, None, by_networks(1.6, 0.02, [True] * 4), np.arange(4))
    assert (apart.variance.loss == 1.6).all()
    noisy = Companions(*map(orders, (1.0, 0.5, 1.0, 0.5)), None, None)
    assert (replaced(noisy, None, by_networks(1.2, 0.2, [True] * 4), np.arange(4))[0].shift.loss == 1.2).all()
