"""Methods of training as tables of rates: order of accuracy, and flows of networks by another integrator."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from widthwise.data import Points
from widthwise.infinite_width import solve_infinite_width
from widthwise.infinite_width.causal_pass import (
    causal_pass,
    deep_noise,
    deep_process,
    evaluations,
    order_parameters,
)
from widthwise.infinite_width.one_hidden_layer import population_averages
from widthwise.infinite_width.site import Population, Site, site_process
from widthwise.infinite_width.time_grid import flow_error_of, time_grid
from widthwise.study import NetworkSettings, Study, TheorySettings, TrainingSettings

ONE = Points(np.ones((1, 1)), np.ones((1, 1)), 1)


def flow(rate, steps, substeps=2):
    return TrainingSettings(optimizer="gradient_flow", learning_rate=rate, steps=steps, substeps=substeps)


def test_gradient_descent_has_received_every_gradient_before():
    grid = time_grid(TrainingSettings(learning_rate=0.3, reduction="mean"), 3, 2)
    np.testing.assert_allclose(grid.rates, 0.1 * np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0]]))
    assert grid.at.tolist() == [0, 1, 2]


@pytest.mark.parametrize("substeps", [1, 2, 5])
def test_every_training_step_of_a_flow_has_received_its_time(substeps):
    grid = time_grid(flow(0.3, 7, substeps), 1, 6)
    np.testing.assert_allclose(grid.rates[grid.at].sum(axis=1), 0.3 * np.arange(7), atol=1e-12)
    assert (np.triu(grid.rates) == 0).all()


def test_the_error_of_a_flow_falls_with_the_fourth_power_and_shows_instability():
    errors = [flow_error_of(flow(0.2, 11, substeps), 1.0, 10) for substeps in (2, 4, 8)]
    ratios = np.divide(errors[:-1], errors[1:])
    assert ((ratios > 12) & (ratios < 30)).all()
    assert flow_error_of(flow(0.2, 200, 1), 10.0, 199) > 1
    assert flow_error_of(TrainingSettings(learning_rate=0.2), 1.0, 10) == 0


def test_the_flow_of_one_layer_is_that_of_runge_kutta_on_the_same_sites():
    """Two integrators of fourth order: the difference falls with the substeps."""
    rng = np.random.default_rng(3)
    points = Points(rng.standard_normal((3, 5)), rng.choice([-1.0, 1.0], (3, 1)), 2)
    differences = []
    for substeps in (2, 4):
        settings = Study(name="flow", training=flow(0.03, 8, substeps))
        with jax.enable_x64(True):
            process = deep_process(settings, points)
            (noise,) = deep_noise(process, 128, (1,))
            rows = causal_pass(process, (noise,))[1]
            found = order_parameters(process, rows, evaluations(settings, np.arange(8)))
            sites = Site(noise.u[:, 0].T, noise.r[:, 0].T)
            fine = replace(settings, training=flow(0.03, 8, 32))
            gaps = jnp.asarray(np.diff(np.arange(8), prepend=0))
            population = Population(sites, jnp.full(128, 1 / 128))
            exact = population_averages(site_process(fine, points), population, gaps)
        differences.append(float(np.abs(found.prediction - exact.prediction).max()))
    assert differences[0] < 1e-4
    assert differences[1] < differences[0] / 8


def test_the_flow_of_two_layers_is_gradient_descent_with_small_steps():
    """An eighth and a sixteenth as large, extrapolated to none; within five standard errors (1e-6).

    Gradient descent itself is as far again: taking it for the flow would fail.
    """
    network = NetworkSettings(hidden_layers=2, richness=1.5)
    theory = TheorySettings(sites=4096, scramblings=8)

    def solved(training):
        study = Study(name="flow", network=network, training=training, theory=theory)
        return solve_infinite_width(study, points=ONE)

    flowing, plain = solved(flow(0.2, 3)), solved(TrainingSettings(learning_rate=0.2, steps=2))
    (coarse, _), (fine, error) = (
        (solution.values.prediction[k, 0, 0], solution.stderr.prediction[k, 0, 0])
        for k in (8, 16)
        for solution in [solved(TrainingSettings(learning_rate=0.2 / k, steps=k + 1))]
    )
    value, own_error = flowing.values.prediction[1, 0, 0], flowing.stderr.prediction[1, 0, 0]
    allowed = 5 * np.sqrt(own_error**2 + 5 * error**2)
    assert flowing.flow_error < 1e-4 and flowing.outcome == "solved"
    assert abs(plain.values.prediction[1, 0, 0] - value) > 1.2 * allowed, "too noisy to mean anything"
    assert abs(value - (2 * fine - coarse)) < allowed
