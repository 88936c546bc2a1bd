"""A study that has a closed form is solved by it, and the sampled solver agrees within its errors."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import widthwise as ww

FALSE_ALARM_RATE = 1e-4  # of each test, over all its numbers
RESOLUTION = 0.05  # of the largest entry: the smallest error that is seen
POINT = ww.Points(np.full((1, 3), -1.0), np.array([[0.7]]), 1)
NAMES = ("prediction", "loss", "feature_kernel", "gradient_kernel", "tangent_kernel")


def study(steps=6, observables=NAMES, **settings):
    network = {"activation": "linear", "richness": 2.0} | settings.pop("network", {})
    return ww.Study(
        name="exact",
        network=ww.NetworkSettings(**network),
        training=ww.TrainingSettings(learning_rate=0.1, steps=steps, **settings),
        theory=ww.TheorySettings(scramblings=8, observables=observables),
        record=ww.RecordSettings(steps=(0, 2, steps - 1)),
    )


def solved(wanted, points=POINT, **how):
    return ww.solve_fluctuations(ww.solve_infinite_width(wanted, points=points, **how))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"network": {"centered": False, "activation_scale": 3.0}, "reduction": "mean"},
        {"optimizer": "gradient_flow", "substeps": 8},
    ],
    ids=["descent", "uncentered", "flow"],
)
def test_the_sampled_solver_agrees_within_its_errors(settings):
    exact, sampled = solved(study(**settings)), solved(study(**settings), exact=False)
    assert exact.attrs["solver"] == "exact: two-layer linear"
    assert sampled.attrs["solver"] == "single-site averages"
    assert set(exact.data_vars) == set(sampled.data_vars)
    compared = [name for name in exact if f"{name}_stderr" in exact]
    degrees = sampled.attrs["seeds"].startswith("8 ") * 7
    count = sum(exact[name].size for name in compared)
    threshold = stats.t.isf(FALSE_ALARM_RATE / count / 2, degrees)
    for name in compared:
        size = float(np.abs(exact[name]).max())
        error = threshold * sampled[f"{name}_stderr"] + 1e-7 * size
        assert float(error.max()) < RESOLUTION * size, f"{name}: too noisy to tell"
        assert (np.abs(sampled[name] - exact[name]) <= error).all(), name
        assert (exact[f"{name}_stderr"] == 0).all()


@pytest.mark.parametrize(
    "other",
    [
        (study(network={"activation": "tanh"}), POINT),
        (study(network={"activation_gain": 2.0}), POINT),
        (study(network={"hidden_layers": 2}), POINT),
        (study(learning_rule="direct_feedback_alignment"), POINT),
        (study(), ww.Points(np.full((1, 3), 1.1), np.ones((1, 1)), 1)),
        (study(), ww.Points(np.ones((2, 3)), np.ones((2, 1)), 1)),
        (study(), ww.Points(np.ones((1, 3)), np.ones((1, 2)), 1)),
    ],
    ids=["tanh", "gain", "two layers", "learning rule", "|x|^2", "test point", "outputs"],
)
def test_a_study_that_is_not_exactly_the_case_is_sampled(other):
    wanted, points = other
    small = replace(wanted.theory, sites=64, scramblings=2, observables=("prediction",))
    assert ww.solve_infinite_width(replace(wanted, theory=small), points=points).exact is None


def test_what_diverges_is_left_to_the_solver_that_says_where():
    wild = replace(study(60), training=ww.TrainingSettings(learning_rate=9.0, steps=60))
    limit = ww.solve_infinite_width(wild, points=POINT, throw=False)
    assert limit.exact is None and limit.diverged_at is not None
