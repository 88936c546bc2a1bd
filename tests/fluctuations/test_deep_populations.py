"""Mean shifts at depth: the dense action, the one-layer solver, and populations that are networks in law."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from deep_linear import DeepLinearProblem, solve_deep_linear
from deep_linear_action import mean_shift_of_residual
from scipy import stats
from two_layer_linear_widths import finite_width_moments

from widthwise.data import Points
from widthwise.exact.two_layer_linear import TwoLayerLinearProblem
from widthwise.fluctuations.deep_populations import deep_populations
from widthwise.fluctuations.populations import DeepNetworks, block_estimates
from widthwise.infinite_width import solve_infinite_width
from widthwise.infinite_width.causal_pass import deep_process
from widthwise.observables import solve_fluctuations
from widthwise.study import (
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    Study,
    TheorySettings,
    TrainingSettings,
)
from widthwise.training import train_ensemble

ONE = Points(np.ones((1, 1)), np.ones((1, 1)), 1)


def study(depth, steps, rate, **network):
    return Study(
        name="shift",
        network=NetworkSettings(hidden_layers=depth, **network),
        training=TrainingSettings(learning_rate=rate, steps=steps),
        theory=TheorySettings(sites=512, scramblings=8, observables=("prediction", "tangent_kernel")),
    )


@pytest.mark.parametrize(("depth", "rate"), [(2, 0.05), pytest.param(3, 0.03, marks=pytest.mark.long)])
def test_linear_layers_have_the_shift_of_the_dense_action(depth, rate):
    """Within four standard errors (0.5 % of seeds for each number) and 2 %, for the next order."""
    settings = study(depth, 7, rate, activation="linear", richness=2.0, centered=False)
    shift = deep_populations(solve_infinite_width(settings, points=ONE)).shift
    problem = DeepLinearProblem(
        hidden_layers=depth, richness=2.0, learning_rate=rate, steps=7, centered=False
    )
    expected = -mean_shift_of_residual(solve_deep_linear(problem))
    value, error, _ = (each.squeeze() for each in shift["prediction"])
    assert (error < 0.06 * np.abs(expected).max()).all(), "too noisy to mean anything"
    assert (np.abs(value - expected) < 4 * error + 0.02 * np.abs(expected).max()).all()


def test_one_layer_has_the_shift_of_the_one_layer_solver():
    """Outputs and the tangent kernel; two points, one tested; within five standard errors (1e-6 a number)."""
    rng = np.random.default_rng(2)
    points = Points(rng.standard_normal((3, 4)), rng.choice([-1.0, 1.0], (3, 1)), 2)
    limit = solve_infinite_width(study(1, 8, 0.2, richness=1.5), points=points)
    exact = solve_fluctuations(limit)
    shift = deep_populations(limit).shift
    for name in ("prediction", "tangent_kernel"):
        expected = exact[f"{name}_shift"].to_numpy()
        error = np.hypot(shift[name].stderr, exact[f"{name}_shift_stderr"].to_numpy())
        assert (error < 0.1 * np.abs(expected).max()).all(), "too noisy to mean anything"
        assert (np.abs(shift[name].value - expected) < 5 * error + 0.02 * np.abs(expected).max()).all(), name


@pytest.mark.parametrize("centered", [True, False])
def test_the_shift_of_populations_is_exactly_that_of_networks_of_their_widths(centered):
    """S [mean q(S/2) - mean q(S)] of one linear layer, whose means are integrals at every S: no next order.

    Of what should be seen, the share that is: one, at a false-alarm rate of 1e-4; 3 % would be caught.
    """
    width, steps, blocks = 32, 8, 16
    settings = study(1, steps, 0.05, activation="linear", richness=2.0, centered=centered)
    problem = TwoLayerLinearProblem(richness=2.0, learning_rate=0.05, steps=steps, centered=centered)
    half, whole = (finite_width_moments(problem, size) for size in (width // 2, width))
    found = []
    with jax.enable_x64(True):
        process = replace(deep_process(settings, ONE), conditioned=True)
        for block in range(blocks):
            keys = jax.random.split(jax.random.key(block), 4096)
            networks = DeepNetworks(process, jnp.arange(steps))
            found.append(block_estimates(networks, keys, width, levels=2).shift)
    expected = width * (half.prediction_mean - whole.prediction_mean)
    shares = [np.asarray(each.prediction).ravel() @ expected / (expected @ expected) for each in found]
    error = np.std(shares, ddof=1) / np.sqrt(blocks)
    allowed = stats.t.isf(1e-4 / 2, blocks - 1) * error
    assert allowed < 0.03, "too noisy to see a small error"
    assert abs(np.mean(shares) - 1) < allowed


@pytest.mark.slow
def test_conditioned_populations_are_networks_in_law(tmp_path):
    """Width 24, two layers, two points, eight steps: means and variances of 1,500 of each.

    Within four combined standard errors (3e-4 a number for all); sites that are not conditioned miss the
    variance of the tangent kernel by a factor of two, and are seen to.
    """
    width, count = 24, 1500
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((2, 8))
    inputs *= np.sqrt(8) / np.linalg.norm(inputs, axis=1, keepdims=True)
    points = Points(inputs, np.array([[1.0], [-1.0]]), 2)
    settings = replace(
        study(2, 8, 0.2, richness=1.5),
        ensemble=EnsembleSettings(widths=(width,), seeds=count, precision="float64"),
        record=RecordSettings(steps=(7,), quantities=("prediction", "feature_kernel", "tangent_kernel")),
    )
    records = train_ensemble(settings, tmp_path / "records.zarr", points=points).isel(width=0, step=0)
    trained = {
        "prediction": records["prediction"].isel(output=0).to_numpy(),
        "feature": records["feature_kernel"].isel(point=0, point_b=1).transpose("seed", "layer").to_numpy(),
        "tangent": records["tangent_kernel"].isel(point=0, point_b=0).to_numpy(),
    }
    assert max(scores(populations(settings, points, width, count, conditioned=True), trained)) < 4
    assert max(scores(populations(settings, points, width, count, conditioned=False), trained)) > 8


def populations(settings, points, width, count, *, conditioned):
    with jax.enable_x64(True):
        process = replace(deep_process(settings, points), conditioned=conditioned)
        networks = DeepNetworks(process, jnp.array([7]))

        def one(key):
            return networks.observe(networks.draw(key, width))

        found = jax.jit(lambda keys: jax.lax.map(one, keys))(jax.random.split(jax.random.key(0), count))
    return {
        "prediction": np.asarray(found.prediction)[:, 0, :, 0],
        "feature": np.asarray(found.feature_kernel)[:, 0, :, 0, 1],
        "tangent": np.asarray(found.tangent_kernel)[:, 0, 0, 0],
    }


def scores(found, trained):
    """|z| of every mean and every variance."""
    for name, values in found.items():
        for power in (1, 2):
            (a, a_error), (b, b_error) = (moment(each, power) for each in (values, trained[name]))
            yield float(np.max(np.abs(a - b) / np.hypot(a_error, b_error)))


def moment(values, power):
    """The mean (1) or variance (2) of a sample, and its standard error."""
    terms = values if power == 1 else (values - values.mean(axis=0)) ** 2
    return terms.mean(axis=0), terms.std(axis=0) / np.sqrt(len(terms))
