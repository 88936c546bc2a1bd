"""What must not matter to deep networks at infinite width: units of the outputs, order and copies of points.

Where the Gaussians are the same the numbers are, to rounding. Else differences are bounded by five standard
errors of sixteen scramblings (a false alarm in 2e-4 of seeds a number, by the t distribution), and no error
is above 2 % of the largest number of its kind: a tenth of it would be seen, in most a hundredth.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lazy_limit import solve_lazy_limit

from widthwise.data import Points
from widthwise.infinite_width import solve_infinite_width
from widthwise.infinite_width.causal_pass import causal_pass, deep_noise, deep_process, order_parameters
from widthwise.study import NetworkSettings, Study, TheorySettings, TrainingSettings

SIGMAS, RESOLUTION = 5.0, 0.02
INPUTS = np.array([[1.0, 0.8, -0.3], [-0.4, 1.2, 0.9], [1.1, -0.2, 0.7]])
TARGETS = np.array([[1.0, -0.5], [-0.8, 0.6], [0.3, 0.9]])
KERNELS = ("feature_kernel", "gradient_kernel", "tangent_kernel")


def study(*, depth=2, steps=4, rate=0.3, sites=1024, optimizer="gd", **network):
    return Study(
        name="invariances",
        network=NetworkSettings(**({"hidden_layers": depth, "richness": 1.5} | network)),
        training=TrainingSettings(learning_rate=rate, steps=steps, optimizer=optimizer),
        theory=TheorySettings(sites=sites, scramblings=16),
    )


@settings(max_examples=8)
@given(
    depth=st.integers(2, 3),
    factor=st.floats(0.1, 10.0),
    targets=st.lists(st.floats(-2.0, 2.0), min_size=2, max_size=2),
)
def test_units_of_the_outputs_cancel_against_the_richness(depth, factor, targets):
    """(gamma, y) -> (c gamma, y / c) leaves kernels as they are and divides outputs by c; same Gaussians."""
    points = Points(INPUTS[:2], np.array(targets)[:, None], 2)
    with jax.enable_x64(True):
        process = deep_process(study(depth=depth), points)
        noise = deep_noise(process, 64, (3,))
        scaled = replace(process, richness=factor * process.richness, targets=process.targets / factor)
        first, second = (
            order_parameters(each, causal_pass(each, noise)[1], jnp.arange(4)) for each in (process, scaled)
        )
    for name in KERNELS:
        np.testing.assert_allclose(getattr(second, name), getattr(first, name), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(factor * second.prediction, first.prediction, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(factor**2 * second.loss, first.loss, rtol=1e-6, atol=1e-9)


def test_permuting_points_permutes_the_results():
    """Three points, two outputs, three layers."""
    order = np.array([2, 0, 1])
    settings = study(depth=3)
    here = solve_infinite_width(settings, points=Points(INPUTS, TARGETS, 3))
    there = solve_infinite_width(settings, points=Points(INPUTS[order], TARGETS[order], 3))

    def moved(values):
        pair = np.ix_(order, order)
        kernels = [getattr(values, name)[..., pair[0], pair[1]] for name in KERNELS]
        return values._replace(
            prediction=values.prediction[:, order], **dict(zip(KERNELS, kernels, strict=True))
        )

    same(there.values, there.stderr, moved(here.values), moved(here.stderr))


def test_two_copies_of_a_point_are_one_point_at_twice_the_rate():
    once = solve_infinite_width(study(rate=0.4), points=Points(INPUTS[:1], TARGETS[:1], 1))
    twice = solve_infinite_width(study(rate=0.2), points=Points(INPUTS[[0, 0]], TARGETS[[0, 0]], 2))
    for copy in (0, 1):
        values, stderr = (of_point(part, copy) for part in (twice.values, twice.stderr))
        values, stderr = (part._replace(loss=part.loss / 2) for part in (values, stderr))
        same(values, stderr, once.values, once.stderr)


def test_a_test_point_changes_nothing_on_training_points():
    alone = solve_infinite_width(study(), points=Points(INPUTS[:1], TARGETS[:1], 1))
    tested = solve_infinite_width(study(), points=Points(INPUTS[:2], TARGETS[:2], 1))
    values, stderr = (of_point(part, 0) for part in (tested.values, tested.stderr))
    same(values, stderr, alone.values, alone.stderr)
    trained = solve_infinite_width(study(), points=Points(INPUTS[:2], TARGETS[:2], 2)).values
    moved = np.abs(trained.prediction[1:, 0] - alone.values.prediction[1:, 0])
    assert moved.max() > 0.03, "training on the other point changes nothing either"


@pytest.mark.parametrize(("depth", "optimizer"), [(2, "gradient_flow"), (3, "gd")])
def test_little_richness_is_the_lazy_limit(depth, optimizer):
    """gamma = 1e-3: kernels stay, predictions follow; two training points, one tested, two outputs."""
    points = Points(INPUTS, TARGETS, 2)
    settings = study(depth=depth, optimizer=optimizer, richness=1e-3, steps=3)
    limit = solve_infinite_width(settings, points=points)
    lazy = solve_lazy_limit(points, settings.network, settings.training)
    start = lazy.kernels
    shape = limit.values.feature_kernel.shape
    expected = limit.values._replace(
        prediction=lazy.prediction,
        loss=limit.values.loss,
        feature_kernel=np.broadcast_to(start.feature_kernel, shape),
        gradient_kernel=np.broadcast_to(start.gradient_kernel, shape),
        tangent_kernel=np.broadcast_to(start.tangent_kernel, limit.values.tangent_kernel.shape),
    )
    nothing = jax.tree.map(np.zeros_like, limit.stderr)
    same(limit.values, limit.stderr, expected, nothing, rounding=2e-5)


def of_point(values, point):
    """Order parameters of one point alone; losses are of all."""
    kernels = {name: getattr(values, name)[..., point : point + 1, point : point + 1] for name in KERNELS}
    loss = values.loss[:, :1]
    return values._replace(prediction=values.prediction[:, point : point + 1], loss=loss, **kernels)


def same(values, stderr, expected, expected_stderr, rounding=1e-6):
    for name, value in values._asdict().items():
        other = getattr(expected, name)
        error = np.hypot(getattr(stderr, name), getattr(expected_stderr, name))
        assert error.max() < RESOLUTION * np.abs(other).max(), (name, "too noisy to mean anything")
        assert (np.abs(value - other) < SIGMAS * error + rounding).all(), name
