"""Order 1/N at depth: initialization in closed form, the lazy limit, and what must not matter.

Differences are bounded by five standard errors of sixteen scramblings: a false alarm in 2e-4 of seeds a
number by the t distribution. No error is above `RESOLUTION` of the geometric mean of the two variances.
"""

import numpy as np
import pytest
from lazy_limit import solve_lazy_limit

from widthwise.data import Points
from widthwise.fluctuations.deep_covariance import Observable, solve_covariance
from widthwise.infinite_width import solve_infinite_width
from widthwise.study import NetworkSettings, Study, TheorySettings, TrainingSettings

SIGMAS, RESOLUTION = 5.0, 0.15
FEW = {"sites": 64, "scramblings": 2}  # where nothing is left to chance
ONE = Points(np.ones((1, 1)), np.ones((1, 1)), 1)
INPUTS = np.array([[1.0, 0.8, -0.3], [-0.4, 1.2, 0.9]])
TARGETS = np.array([[1.0], [-0.8]])
PAIR = Points(INPUTS, TARGETS, 2)


def covariance(
    points, observables, *, depth=2, steps=4, rate=0.3, sites=512, scramblings=16, optimizer="gd", **network
):
    """N Cov and its standard errors."""
    study = Study(
        name="invariances",
        network=NetworkSettings(**({"hidden_layers": depth, "richness": 1.5} | network)),
        training=TrainingSettings(learning_rate=rate, steps=steps, optimizer=optimizer),
        theory=TheorySettings(sites=64, fluctuation_sites=sites, scramblings=scramblings),
    )
    return solve_covariance(solve_infinite_width(study, points=points), observables)


def some(*, first=0, second=1, step=3):
    """Outputs and entries of every kind of kernel, on two points."""
    return [
        Observable(name="prediction", step=step, point=first),
        Observable(name="prediction", step=step - 1, point=second),
        Observable(name="feature_kernel", step=step, layer=2, point=first, point_b=second),
        Observable(name="gradient_kernel", step=step, layer=1, point=first, point_b=first),
        Observable(name="tangent_kernel", step=step, point=first, point_b=second),
    ]


def same(found, expected, bias=0.0):
    """Two covariance matrices, each with its errors, zero for what is exact; `bias` in the same units."""
    (value, error), (other, other_error) = found, expected
    scale = np.sqrt(np.outer(np.diag(other), np.diag(other)))
    combined = np.hypot(error, other_error)
    assert (combined < RESOLUTION * scale).all(), "too noisy to mean anything"
    assert (np.abs(value - other) < SIGMAS * combined + bias * scale).all()


@pytest.mark.parametrize("depth", [2, pytest.param(3, marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("activation", "gain", "spread", "mixed", "bias"),
    # The jitter; and that the derivative of a step has a width, which correlates G with Phi too much.
    [("linear", 1.0, 2.0, 0.0, 1e-4), ("relu", 2**0.5, 5.0, 1.0, 0.05)],
)
def test_kernels_at_initialization_have_the_closed_formulas(depth, activation, gain, spread, mixed, bias):
    """V min(l, l') for Phi, V min(L+1-l, L+1-l') for G, between them max(l - l' + 1, 0) for relu and zero
    for linear; N Var K = V L (L+1) (2L+1) / 3, for relu plus L (L+1) (L+2) / 3."""
    layers = np.arange(1, depth + 1)
    kinds = ("feature_kernel", "gradient_kernel")
    observables = [Observable(name=kind, step=0, layer=layer) for kind in kinds for layer in layers.tolist()]
    observables.append(Observable(name="tangent_kernel", step=0))
    found, error = covariance(
        ONE, observables, depth=depth, steps=1, sites=1024, activation=activation, activation_gain=gain
    )
    forward = spread * np.minimum.outer(layers, layers)
    between = mixed * np.maximum(layers[:, None] - layers[None, :] + 1, 0)
    kernels = np.block([[forward, between], [between.T, forward[::-1, ::-1]]])
    tangent = spread * (2 * depth + 1) + mixed * (depth + 2)
    same((found[:-1, :-1], error[:-1, :-1]), (kernels, 0.0), bias)
    tangent = np.array([[tangent * depth * (depth + 1) / 3]])
    same((found[-1:, -1:], error[-1:, -1:]), (tangent, 0.0), bias)


def test_permuting_points_permutes_the_covariances():
    swapped = Points(INPUTS[::-1].copy(), TARGETS[::-1].copy(), 2)
    same(covariance(swapped, some(first=1, second=0)), covariance(PAIR, some()))


@pytest.mark.long
def test_units_of_the_outputs_cancel_against_the_richness():
    """(gamma, y) -> (2 gamma, y / 2): kernels keep their covariances, outputs are halved; same Gaussians."""
    found, _ = covariance(Points(INPUTS, TARGETS / 2, 2), some(), richness=3.0, **FEW)
    expected, _ = covariance(PAIR, some(), **FEW)
    units = np.array([0.5, 0.5, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(found, units[:, None] * expected * units, rtol=1e-4)


def test_a_longer_horizon_changes_no_covariance_before_it():
    """The Gaussians are drawn in the order of time: the same numbers."""
    found, expected = covariance(PAIR, some(), steps=6, **FEW), covariance(PAIR, some(), **FEW)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4, atol=1e-6)


@pytest.mark.long
def test_a_test_point_or_a_copy_of_the_point_changes_no_covariance_on_it():
    """One point at rate 0.4; with another that is only tested; and twice at rate 0.2."""
    observables = some(second=0)
    alone = covariance(Points(INPUTS[:1], TARGETS[:1], 1), observables, rate=0.4)
    same(covariance(Points(INPUTS, TARGETS, 1), observables, rate=0.4), alone)
    copies = Points(INPUTS[[0, 0]], TARGETS[[0, 0]], 2)
    same(covariance(copies, some(), rate=0.2), alone)


def test_covariances_are_positive():
    """No eigenvalue of the correlations is below zero by more than their errors."""
    points = Points(INPUTS, np.array([[1.0, 0.3], [-0.8, 0.5]]), 1)
    observables = [*some(), Observable(name="prediction", step=3, output=1)]
    value, error = covariance(points, observables, activation="erf", centered=False)
    variances = np.diag(value)
    assert (variances > SIGMAS * np.diag(error)).all()
    scale = np.sqrt(np.outer(variances, variances))
    scatter = np.linalg.norm(error / scale)
    assert scatter < 0.1, "too noisy to mean anything"
    assert np.linalg.eigvalsh(value / scale)[0] > -scatter


def test_targets_that_vanish_leave_the_fluctuations_of_initialization():
    """Outputs do not fluctuate, but for the jitter; kernels as at first, at all times together."""
    names = ("feature_kernel", "tangent_kernel")
    kernels = [Observable(name=name, step=step, point_b=1) for step in (0, 3) for name in names]
    still = Points(INPUTS, np.zeros((2, 1)), 2)
    value, _ = covariance(still, [Observable(name="prediction", step=3), *kernels], **FEW)
    assert np.abs(value[0]).max() < 1e-5
    start = value[1:3, 1:3]
    assert np.diag(start).min() > 0.1
    np.testing.assert_allclose(value[1:, 1:], np.block([[start, start], [start, start]]), rtol=2e-3)


@pytest.mark.parametrize(
    ("depth", "optimizer"), [(2, "gradient_flow"), pytest.param(3, "gd", marks=pytest.mark.long)]
)
def test_little_richness_is_the_lazy_limit(depth, optimizer):
    """N Var of the outputs by kappa, as gamma -> 0 up to gamma^2; one point trained on, one tested."""
    points = Points(INPUTS, TARGETS, 1)
    network = NetworkSettings(hidden_layers=depth)
    training = TrainingSettings(learning_rate=0.3, steps=3, optimizer=optimizer)
    expected = solve_lazy_limit(points, network, training).prediction_variance[2]
    observables = [Observable(name="prediction", step=2, point=point) for point in (0, 1)]
    value, error = covariance(points, observables, depth=depth, steps=3, optimizer=optimizer, richness=0.05)
    for point in (0, 1):
        part = np.s_[point : point + 1, point : point + 1]
        same((value[part], error[part]), (np.array([[expected[point]]]), 0.0), 0.03)
