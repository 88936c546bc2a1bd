"""Infinite width at any depth: tabulated values, other solvers of the same thing, and invariances."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deep_linear import DeepLinearProblem, solve_deep_linear

from widthwise.data import Points
from widthwise.errors import InputError
from widthwise.infinite_width import solve_infinite_width
from widthwise.infinite_width.causal_pass import (
    causal_pass,
    deep_noise,
    deep_process,
    no_past,
    no_slots,
    order_parameters,
)
from widthwise.infinite_width.deep_step import Taps, advance
from widthwise.infinite_width.one_hidden_layer import one_hidden_layer_solver, population_averages
from widthwise.infinite_width.site import Population, Site, site_process
from widthwise.study import NetworkSettings, RecordSettings, Study, TheorySettings, TrainingSettings

ONE = Points(np.ones((1, 1)), np.ones((1, 1)), 1)


def study(depth, steps, *, sites=2048, scramblings=8, rate=0.1, reduction="sum", loss="mse", **network):
    return Study(
        name="deep",
        network=NetworkSettings(hidden_layers=depth, **network),
        training=TrainingSettings(learning_rate=rate, steps=steps, reduction=reduction, loss=loss),
        theory=TheorySettings(sites=sites, scramblings=scramblings),
    )


def one_pass(settings, points, sites=256):
    with jax.enable_x64(True):
        process = deep_process(settings, points)
        rows = causal_pass(process, deep_noise(process, sites, (1,)))[1]
        steps = settings.recorded_steps()
        return jax.tree.map(np.asarray, order_parameters(process, rows, steps))


def test_two_tanh_layers_have_the_tabulated_order_parameters():
    """Solved to four digits elsewhere and seen in networks of width 1024; ours within four standard errors.

    Eight scramblings: a false alarm in 0.5 % of seeds for each number. Leaving out B at equal times would
    move Phi^1 by 7 % at the last step, which is hundreds of standard errors.
    """
    limit = solve_infinite_width(study(2, 8, rate=0.2, sites=8192), points=ONE)
    for values, error, expected in (
        (1 - limit.values.prediction[:, 0, 0], limit.stderr.prediction[:, 0, 0], {4: 0.5508, 7: 0.3669}),
        (
            limit.values.feature_kernel[:, 1, 0, 0],
            limit.stderr.feature_kernel[:, 1, 0, 0],
            {4: 0.324, 7: 0.3832},
        ),
        (
            limit.values.feature_kernel[:, 0, 0, 0],
            limit.stderr.feature_kernel[:, 0, 0, 0],
            {4: 0.4356, 7: 0.4643},
        ),
    ):
        for step, number in expected.items():
            assert error[step] < 0.005 * number, "too noisy to mean anything"
            assert abs(values[step] - number) < 4 * error[step] + 5e-5


def test_one_layer_through_the_deep_pass_is_the_one_layer_solver():
    """On the same sites, to rounding: two points and two outputs, cross-entropy, averaged, not centered."""
    rng = np.random.default_rng(3)
    points = Points(rng.standard_normal((3, 5)), np.array([[1.0, 0], [0, 1], [1, 0]]), 2)
    settings = study(
        1, 6, rate=0.4, reduction="mean", loss="cross_entropy", activation="gelu", centered=False
    )
    found = one_pass(settings, points)
    with jax.enable_x64(True):
        process = deep_process(settings, points)
        (noise,) = deep_noise(process, 256, (1,))
        sites = Site(noise.u[:, 0].T, noise.r[:, 0].T)
        gaps = jnp.asarray(np.diff(np.arange(6), prepend=0))
        population = Population(sites, jnp.full(256, 1 / 256))
        expected = population_averages(site_process(settings, points), population, gaps)
    for name, value in found._asdict().items():
        np.testing.assert_allclose(value, getattr(expected, name), rtol=1e-9, atol=1e-12, err_msg=name)


def test_the_entry_takes_the_one_layer_solver_at_one_layer():
    settings = study(1, 3, sites=64, scramblings=2)
    with jax.enable_x64(True):
        replicates = [one_hidden_layer_solver(settings, ONE)(r).prediction for r in range(2)]
    limit = solve_infinite_width(settings, points=ONE)
    np.testing.assert_allclose(limit.values.prediction, np.mean(replicates, axis=0), rtol=1e-12)


def test_linear_layers_through_the_general_pass_are_the_closed_solver():
    """Three layers, richness 3: outputs and kernels within four standard errors (0.5 % of seeds each)."""
    settings = study(3, 12, sites=8192, rate=0.015, richness=3.0, activation="linear")
    limit = solve_infinite_width(settings, points=ONE)
    closed = solve_deep_linear(
        DeepLinearProblem(hidden_layers=3, richness=3.0, learning_rate=0.015, steps=12)
    )
    value, error = limit.values.prediction[1:, 0, 0], limit.stderr.prediction[1:, 0, 0]
    assert (error < 0.02 * value).all(), "too noisy to mean anything"
    assert (np.abs(value - closed.prediction[1:, 0]) < 4 * error + 1e-7).all()  # the jitter
    for layer in range(3):
        expected = np.diagonal(closed.feature_kernel[layer])
        value = limit.values.feature_kernel[:, layer, 0, 0]
        error = limit.stderr.feature_kernel[:, layer, 0, 0]
        assert (error < 0.02 * expected).all(), "too noisy to mean anything"
        assert (np.abs(value - expected) < 4 * error + 1e-7).all()  # the jitter


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_solution_does_not_depend_on_the_horizon_or_on_test_points(activation):
    """The same Gaussians: the first steps are the same numbers when more follow."""
    rng = np.random.default_rng(5)
    points = Points(rng.standard_normal((2, 4)), rng.standard_normal((2, 1)), 2)
    settings = study(2, 6, activation=activation)
    with jax.enable_x64(True):
        process = deep_process(settings, points)
        noise = deep_noise(process, 128, (1,))
        long = causal_pass(process, noise)[1].output
        short_process = deep_process(study(2, 4, activation=activation), points)
        short = causal_pass(short_process, deep_noise(short_process, 128, (1,)))[1].output
    np.testing.assert_allclose(long[:4], short, rtol=1e-9, atol=1e-12)


def test_targets_that_vanish_move_nothing():
    still = Points(np.ones((1, 1)), np.zeros((1, 1)), 1)
    found = one_pass(study(3, 5), still)
    np.testing.assert_allclose(found.prediction, 0.0, atol=1e-12)
    for name in ("feature_kernel", "gradient_kernel", "tangent_kernel"):
        kernel = getattr(found, name)
        np.testing.assert_allclose(kernel, np.broadcast_to(kernel[:1], kernel.shape), rtol=1e-4, err_msg=name)


def test_what_cannot_fit_is_refused_before_it_is_compiled():
    """Kernels at all pairs of times: 400 points for 1,000 steps are (4e5)^2 numbers a kernel."""
    points = Points(np.ones((400, 2)), np.ones((400, 1)), 400)
    said = r"400 points, 1 outputs and 1000 steps .* GB may be used: \d+ steps"
    with pytest.raises(InputError, match=said):
        solve_infinite_width(replace(study(2, 1000), record=RecordSettings(steps=(999,))), points=points)


@pytest.mark.parametrize("layer", [0, 1])
def test_taps_are_added_to_what_the_sites_of_their_layer_read(layer):
    """With linear layers the activations and gradients themselves: by a tap of either, and by no other."""
    points = Points(np.eye(2), np.array([[1.0], [-1.0]]), 2)
    with jax.enable_x64(True):
        process = deep_process(study(2, 2, activation="linear"), points)
        noise, past, slots = deep_noise(process, 16, (1,)), no_past(process, 16), no_slots(process)
        h, z = (jax.random.normal(jax.random.key(each), (1, 16, 2)) for each in (0, 1))
        plain = advance(process, past, noise, slots, jnp.asarray(0))[0].layers[layer]
        for tap, moved_phi, moved_g in ((Taps(h=h), h, 0 * h), (Taps(z=z), 0 * z, z)):
            taps = tuple(tap if each == layer else Taps() for each in range(2))
            found = advance(process, past, noise, slots, jnp.asarray(0), taps)[0].layers[layer]
            np.testing.assert_allclose(found.phi - plain.phi, moved_phi, atol=1e-12)
            if tap.z is z or layer == 1:
                np.testing.assert_allclose(found.g - plain.g, moved_g, atol=1e-12)
