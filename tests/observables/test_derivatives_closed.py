"""Derivatives against closed forms, by inputs of every rank, and through the kink of ReLU."""

import jax
import numpy as np
import pytest
from scipy import stats

import widthwise as ww
from widthwise.exact.two_layer_linear import TwoLayerLinearProblem, solve_two_layer_linear
from widthwise.infinite_width.site import Population, Site
from widthwise.infinite_width.sites import gaussian_sites
from widthwise.infinite_width.theory_parameters import moved_population, problem_of

FALSE_ALARM_RATE = 1e-3  # of each test


def study(activation, *, steps=1, scramblings=8, observables=("feature_kernel",), sites=1024, **network):
    return ww.Study(
        name="closed",
        network=ww.NetworkSettings(activation=activation, **network),
        training=ww.TrainingSettings(learning_rate=0.05, steps=steps),
        theory=ww.TheorySettings(
            sites=sites, fluctuation_sites=sites, scramblings=scramblings, observables=observables
        ),
        record=ww.RecordSettings(steps=(steps - 1,)),
    )


def agree(values, errors, expected, resolution, scramblings=8):
    """Every number within the t-quantile of its own error, for FALSE_ALARM_RATE together."""
    expected = np.asarray(expected)
    quantile = stats.t.isf(FALSE_ALARM_RATE / 2 / values.size, scramblings - 1)
    assert quantile * np.max(errors) < resolution * np.abs(expected).max(), "too noisy to mean anything"
    assert (np.abs(values - expected) <= quantile * errors + 1e-9).all()


def test_one_linear_point_moves_with_the_richness_as_the_closed_form():
    """Values to rounding, N Var and shift within their errors, at the step where the outputs rise."""
    names = ("prediction", "tangent_kernel", "loss")
    settings = study("linear", steps=11, observables=names, richness=2.0)
    point = ww.Points(np.ones((1, 1)), np.ones((1, 1)), 1)
    found = ww.differentiate(settings, points=point).isel(step=0, point=0, point_b=0, output=0, split=0)

    def closed(richness):
        return solve_two_layer_linear(TwoLayerLinearProblem(richness=richness, learning_rate=0.05, steps=11))

    above, below = closed(2.0 + 1e-4), closed(2.0 - 1e-4)
    for name in names:
        expected = (getattr(above, name)[10] - getattr(below, name)[10]) / 2e-4
        assert float(found[f"{name}_derivative"]) == pytest.approx(expected, rel=1e-6)
        for companion in ("variance", "shift"):
            of = f"{name}_{companion}"
            expected = (getattr(above, of)[10] - getattr(below, of)[10]) / 2e-4
            value, error = (float(found[f"{of}_derivative{suffix}"]) for suffix in ("", "_stderr"))
            assert error < 0.03 * abs(expected), "too noisy to mean anything"
            assert abs(value - expected) < 5 * error + 1e-6, of  # two in a thousand, for each number


def inputs_of(kind):
    rng = np.random.default_rng(11)
    inputs = rng.standard_normal({"full": (3, 5), "more": (5, 2), "equal": (3, 5)}[kind])
    if kind == "equal":
        inputs[1] = inputs[0]
    return inputs, rng.standard_normal(inputs.shape)


@pytest.mark.parametrize("kind", ["full", "more", "equal"])
def test_fields_follow_their_kernel_whatever_its_rank(kind):
    """The covariance of the moved fields is the moved kernel to first order, to rounding."""
    inputs, direction = inputs_of(kind)
    points = ww.Points(inputs, np.zeros((len(inputs), 1)), len(inputs))
    h, w, weights = gaussian_sites(points.input_kernel(), 1, 256, (0,))
    with jax.enable_x64(True):
        problem = problem_of(study("tanh"), points)
        moved = problem.parameters._replace(inputs=jax.numpy.asarray(inputs + direction))
        change = (
            np.asarray(moved_population(Population(Site(h.T, w.T), weights), problem, moved).sites.h) - h.T
        )
    found = (weights * change) @ h + (weights * h.T) @ change.T
    cross = direction @ inputs.T / inputs.shape[1]
    np.testing.assert_allclose(found, cross + cross.T, atol=1e-10)
    assert np.abs(change).max() < 20 * np.abs(h).max(), "bounded also where the kernel is singular"


@pytest.mark.parametrize("kind", ["full", "more", "equal"])
def test_kernels_at_initialization_move_with_the_inputs_as_the_closed_forms(kind):
    """erf: Phi is an arcsine of K. Linear: Phi = K, and N Var Phi_mn = K_mm K_nn + K_mn^2."""
    inputs, direction = inputs_of(kind)
    points = ww.Points(inputs, np.zeros((len(inputs), 1)), len(inputs))

    def kernel(size):
        moved = inputs + size * direction
        return moved @ moved.T / inputs.shape[1]

    def slope(function):
        return (function(kernel(1e-4)) - function(kernel(-1e-4))) / 2e-4

    def arcsine(k):
        scale = np.sqrt(1 + 2 * np.diag(k))
        return 2 / np.pi * np.arcsin(2 * k / np.outer(scale, scale))

    upper = np.triu_indices(len(inputs))
    for activation, name, function in (
        ("erf", "feature_kernel", arcsine),
        ("linear", "feature_kernel_variance", lambda k: np.outer(np.diag(k), np.diag(k)) + k**2),
    ):
        found = ww.differentiate(study(activation), "inputs", direction, points=points).isel(step=0, layer=0)
        value, error = (found[f"{name}_derivative{suffix}"].to_numpy()[upper] for suffix in ("", "_stderr"))
        agree(value, error, slope(function)[upper], 0.1)


@pytest.mark.parametrize("depth", [1, 2])
def test_turning_all_inputs_changes_nothing(depth):
    """In a linear network with whitened sites not even by sampling, though fields of each site turn."""
    inputs, _ = inputs_of("full")
    turn = np.triu(np.random.default_rng(1).standard_normal((5, 5)), 1)
    points = ww.Points(inputs, np.array([[1.0], [-1.0], [0.5]]), 2)
    settings = study("linear", steps=4, observables=("prediction",), sites=64, hidden_layers=depth)
    one = ww.differentiate(settings, "inputs", inputs @ (turn - turn.T), points=points, fluctuations=False)
    other = ww.differentiate(settings, "inputs", inputs, points=points, fluctuations=False)
    assert np.abs(other["prediction_derivative"]).max() > 0.01
    size = np.abs(one["prediction_derivative"]).max()
    assert size < 1e-10 if depth == 1 else size < 4 * one["prediction_derivative_stderr"].max() + 1e-6


def test_relu_moves_with_the_inputs_through_its_kink():
    """Against the closed kernels of ReLU, G = 1/2 - angle / 2 pi and Phi, whose kink is smoothed by 0.1.

    The smoothing moves it by about 0.1^2 over the variance of h, 1.6 % at most here. Without it the
    derivative of G, nothing but the kink, would be 0.
    """
    inputs, direction = inputs_of("full")
    points = ww.Points(inputs, np.zeros((3, 1)), 3)

    def kernels(size):
        moved = inputs + size * direction
        k = moved @ moved.T / 5
        norm = np.sqrt(np.outer(np.diag(k), np.diag(k)))
        angle = np.arccos(np.clip(k / norm, -1, 1))
        arc = norm * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
        return {"feature_kernel": arc, "gradient_kernel": 0.5 - angle / (2 * np.pi)}

    above, below = kernels(1e-4), kernels(-1e-4)
    settings = study("relu", observables=("feature_kernel", "gradient_kernel"), sites=4096, scramblings=16)
    found = ww.differentiate(settings, "inputs", direction, points=points, fluctuations=False)
    off = np.triu_indices(3, 1)
    for name in above:
        last = found.isel(step=0, layer=0)
        value, error = (last[f"{name}_derivative{suffix}"].to_numpy()[off] for suffix in ("", "_stderr"))
        expected = ((above[name] - below[name]) / 2e-4)[off]
        assert (error < 0.03 * np.abs(expected).max()).all(), "too noisy to mean anything"
        assert (np.abs(value - expected) < 5 * error + 0.02 * np.abs(expected).max()).all(), name
