"""The causal pass against the fixed point of all times at once, on the same Gaussians: no statistics."""

import jax
import numpy as np
import pytest
from deep_fixed_point import fixed_point

from widthwise.data import Points
from widthwise.infinite_width.causal_pass import causal_pass, deep_noise, deep_process
from widthwise.study import NetworkSettings, Study, TrainingSettings

SITES, STEPS, RATE, RICHNESS = 64, 5, 0.3, 1.5


@pytest.mark.parametrize(("depth", "centered", "train"), [(2, True, 2), (3, False, 2), (2, False, 1)])
def test_the_causal_pass_is_the_fixed_point_of_all_times_at_once(depth, centered, train, seed):
    """Two points and two outputs: kernels at all pairs of times, outputs, and both responses."""
    rng = np.random.default_rng(seed)
    points = Points(rng.standard_normal((2, 3)), rng.standard_normal((2, 2)), train)
    study = Study(
        name="fixed_point",
        network=NetworkSettings(hidden_layers=depth, richness=RICHNESS, centered=centered),
        training=TrainingSettings(learning_rate=RATE, steps=STEPS),
    )
    with jax.enable_x64(True):
        process = deep_process(study, points)
        noise = deep_noise(process, SITES, (seed,))
        rows = jax.tree.map(np.asarray, causal_pass(process, noise)[1])
    expected, output, changes = fixed_point(
        [(np.asarray(each.u), np.asarray(each.r)) for each in noise],
        points.input_kernel(),
        points.targets,
        train,
        phi=np.tanh,
        slope=lambda h: 1 - np.tanh(h) ** 2,
        learning_rate=RATE,
        steps=STEPS,
        richness=RICHNESS,
        centered=centered,
    )
    assert len(changes) > 2 * STEPS, "the twin was given its answer"
    causal = np.tri(STEPS)[:, None, :, None]  # rows hold s <= t alone
    same(rows.output, output)
    for layer in range(depth):
        for name in ("phi", "g"):
            same(getattr(rows.layers[layer], name), expected[layer][name] * causal)
        for name in ("a", "b"):
            same(getattr(rows.layers[layer], name), expected[layer][name])
    at_equal_times = np.einsum("tatb->tab", expected[1]["b"])
    assert np.abs(at_equal_times[-1]).max() > 0.01 > 0 == np.abs(expected[0]["b"]).max()


def same(found, expected):
    """To 1e-8 of the largest entry: solving by nearly singular factors costs half of the digits."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
