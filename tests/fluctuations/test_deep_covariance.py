"""Covariances between observables of deep networks: closed solver, the two-time table, and refusals."""

import numpy as np
import pytest
from deep_linear import DeepLinearProblem, solve_deep_linear
from deep_linear_fluctuations import LinearObservable, deep_linear_covariance

from widthwise.data import Points
from widthwise.errors import InputError
from widthwise.fluctuations.deep_covariance import Observable, solve_covariance
from widthwise.infinite_width import solve_infinite_width
from widthwise.observables import solve_fluctuations
from widthwise.study import NetworkSettings, RecordSettings, Study, TheorySettings, TrainingSettings

ONE = Points(np.ones((1, 1)), np.ones((1, 1)), 1)


@pytest.mark.usefixtures("optimized")
def test_linear_layers_have_the_covariances_of_the_closed_solver():
    """Two layers: outputs at two times, kernels at two times and of two kinds; within five standard errors.

    About 1e-5 of seeds for all entries; the errors are below 4 % of the geometric mean of the variances.
    """
    network = NetworkSettings(hidden_layers=2, richness=2.0, activation="linear")
    theory = TheorySettings(sites=1024, fluctuation_sites=4096, scramblings=12)
    training = TrainingSettings(learning_rate=0.05, steps=5)
    study = Study(name="c", network=network, training=training, theory=theory)
    observables = [
        Observable(name="prediction", step=4),
        Observable(name="prediction", step=2),
        Observable(name="feature_kernel", step=4, layer=2),
        Observable(name="feature_kernel", step=1, step_b=3, layer=1),
        Observable(name="gradient_kernel", step=4, step_b=0, layer=2),
    ]
    found, error = solve_covariance(solve_infinite_width(study, points=ONE), observables)
    closed = solve_deep_linear(DeepLinearProblem(hidden_layers=2, richness=2.0, learning_rate=0.05, steps=5))
    linear = [
        LinearObservable("residual", (4, 0)),
        LinearObservable("residual", (2, 0)),
        LinearObservable("feature_kernel", (4, 0), (4, 0), 2),
        LinearObservable("feature_kernel", (3, 0), (1, 0), 1),
        LinearObservable("gradient_kernel", (4, 0), (0, 0), 2),
    ]
    expected = deep_linear_covariance(closed, linear)
    sign = np.array([-1, -1, 1, 1, 1])  # a residual is target minus prediction
    expected = sign[:, None] * expected * sign
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert (error < 0.04 * scale).all(), "too noisy to mean anything"
    assert np.abs(expected - np.diag(np.diag(expected))).max() > 0.2 * scale.max(), "nothing off the diagonal"
    assert (np.abs(found - expected) < 5 * error).all()


@pytest.mark.long
def test_the_theory_holds_covariances_in_time_whose_diagonal_is_the_variance():
    rng = np.random.default_rng(1)
    points = Points(rng.standard_normal((3, 4)), rng.standard_normal((3, 2)), 2)
    study = Study(
        name="two_times",
        network=NetworkSettings(hidden_layers=2),
        training=TrainingSettings(steps=4),
        theory=TheorySettings(sites=64, fluctuation_sites=128, scramblings=2, observables=("prediction",)),
        record=RecordSettings(steps=(1, 3)),
    )
    theory = solve_fluctuations(solve_infinite_width(study, points=points))
    covariance = theory["prediction_two_time_covariance"].to_numpy()
    assert covariance.shape == (2, 2, 3, 2)
    variance = theory["prediction_variance"].to_numpy()
    np.testing.assert_allclose(np.einsum("ttpc->tpc", covariance), variance, rtol=1e-12)
    np.testing.assert_allclose(covariance, covariance.swapaxes(0, 1), rtol=1e-12)
    study = Study(name="c", network=study.network, training=study.training, theory=study.theory)
    limit = solve_infinite_width(study, points=points)
    pair = [Observable(name="prediction", step=t, point=2, output=1) for t in (1, 3)]
    found, _ = solve_covariance(limit, pair)
    np.testing.assert_allclose(found, covariance[:, :, 2, 1], rtol=1e-5)  # single precision


@pytest.mark.parametrize(
    ("change", "word"),
    [({"step": 9}, "step"), ({"point": 1}, "point"), ({"layer": 3}, "layer"), ({"split": 1}, "split")],
)
def test_what_the_study_does_not_have_is_refused(change, word):
    study = Study(
        name="c",
        network=NetworkSettings(hidden_layers=2),
        training=TrainingSettings(steps=3),
        theory=TheorySettings(sites=16, scramblings=2),
    )
    limit = solve_infinite_width(study, points=ONE)
    with pytest.raises(InputError, match=f"`{word}`"):
        solve_covariance(limit, [Observable(**({"name": "loss", "step": 1} | change))])
    with pytest.raises(InputError, match="0 observables"):
        solve_covariance(limit, [])
