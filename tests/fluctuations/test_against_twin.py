"""The fast path against the slow twin on the very same sites: to rounding, without statistics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from one_hidden_layer import reference_fluctuations

from widthwise.data import Points
from widthwise.fluctuations.one_layer_corrections import one_layer_corrections, site_outputs
from widthwise.fluctuations.principal_modes import modes_needed, pad_modes, principal_scores
from widthwise.infinite_width.one_hidden_layer import population_averages
from widthwise.infinite_width.site import Population, Site, site_process
from widthwise.study import NetworkSettings, Study, TrainingSettings

SITES, STEPS = 48, 5


def tanh_derivatives():
    t = np.tanh
    return {
        "phi": t,
        "dphi": lambda h: 1 - t(h) ** 2,
        "d2phi": lambda h: -2 * t(h) * (1 - t(h) ** 2),
        "d3phi": lambda h: (1 - t(h) ** 2) * (6 * t(h) ** 2 - 2),
    }


def linear_derivatives():
    zero = np.zeros_like
    return {"phi": lambda h: h, "dphi": np.ones_like, "d2phi": zero, "d3phi": zero}


@pytest.mark.parametrize("centered", [True, False])
@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("activation", ["tanh", "linear"])
def test_fast_path_equals_the_explicit_twin(activation, outputs, centered, seed):
    rng = np.random.default_rng(seed)
    points = Points(rng.standard_normal((3, 4)), rng.standard_normal((3, outputs)), 2)
    h = rng.standard_normal((SITES, 4)) @ points.inputs.T / 2
    w = rng.standard_normal((SITES, outputs))
    network = NetworkSettings(activation=activation, richness=1.3, centered=centered)
    study = Study(name="twin", network=network, training=TrainingSettings(learning_rate=0.2, steps=STEPS))
    derivatives = tanh_derivatives() if activation == "tanh" else linear_derivatives()
    expected = reference_fluctuations(
        h,
        w,
        points.input_kernel(),
        points.targets,
        2,
        learning_rate=0.2,
        steps=STEPS,
        richness=1.3,
        centered=centered,
        **derivatives,
    )
    with jax.enable_x64(True):
        process = site_process(study, points)
        population = Population(Site(jnp.asarray(h.T), jnp.asarray(w.T)), jnp.full(SITES, 1 / SITES))
        each = np.asarray(site_outputs(process, population, STEPS))
        scores, _ = principal_scores(each.reshape(-1, SITES).T, np.asarray(population.weights))
        gaps = jnp.asarray(np.diff(np.arange(STEPS), prepend=0))
        values = population_averages(process, population, gaps)
        found = one_layer_corrections(process, population, jnp.asarray(scores.T), gaps, kernels=True)
    for name, value in values._asdict().items():
        if name in ("feature_kernel", "gradient_kernel"):
            expected |= {
                f"{name}{part}": expected[f"{name}{part}"][:, None] for part in ("", "_variance", "_shift")
            }
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(value, expected[name], atol=1e-11 * scale, err_msg=name)
        for companion, part in (("variance", found.variance), ("shift", found.shift)):
            reference = expected[f"{name}_{companion}"]
            assert np.abs(reference).max() > 1e-6, "nothing to compare"
            np.testing.assert_allclose(
                getattr(part, name),
                reference,
                atol=1e-8 * np.abs(reference).max(),
                err_msg=f"{name} {companion}",
            )
    influence = expected["prediction_influence"]
    two_time = np.einsum("itpc,ispc->tspc", influence, influence) / SITES
    np.testing.assert_allclose(found.two_time, two_time, atol=1e-8 * np.abs(two_time).max())


@pytest.mark.parametrize("columns", [40, 300])
def test_modes_are_uncorrelated_and_rebuild_the_scatter(seed, columns):
    """Fewer columns than sites, and more."""
    rng = np.random.default_rng(seed)
    smooth = (
        rng.standard_normal((200, 3)) @ rng.standard_normal((3, columns)) * np.geomspace(1e-3, 1, columns)
    )
    weights = rng.uniform(0.5, 1.5, 200)
    weights /= weights.sum()
    scores, tail = principal_scores(smooth, weights)
    modes = modes_needed(tail)
    assert modes == 3, "three directions, however small the early columns"
    scores = pad_modes(scores, modes)
    np.testing.assert_allclose((weights * scores.T) @ scores, np.eye(3), atol=1e-10)
    centered = smooth - weights @ smooth
    rebuilt = scores @ ((weights * scores.T) @ centered)
    np.testing.assert_allclose(rebuilt, centered, atol=1e-12)


def test_nothing_that_varies_gives_no_modes():
    scores, tail = principal_scores(np.ones((8, 3)), np.full(8, 1 / 8))
    assert scores.shape == (8, 0) and len(tail) == 0
    assert modes_needed(tail) == 0
    assert pad_modes(scores, 8).shape == (8, 8)
