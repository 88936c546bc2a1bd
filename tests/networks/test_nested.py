"""Networks of nested families have the law of their width each, and share what couples them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from widthwise.networks import FamilyKey, activation, blueprint, draw_nested, preactivations
from widthwise.networks.parametrization import draw, rules_of
from widthwise.study import NetworkSettings

DRAWS, WIDTH, DIMENSION = 4000, 6, 3
FALSE_ALARM = 1e-5


def plans(width, settings):
    built = [blueprint(settings, (DIMENSION,), 2, n) for n in (width, settings.base_width)]
    return built[0], rules_of(*built, settings.parametrization)


def family_key(place, width):
    root = jax.random.key(3)
    return FamilyKey(
        jax.random.fold_in(jax.random.fold_in(root, place), width), root, jnp.int32(place * width)
    )


def drawn(width, settings, inputs, place):
    inputs = jnp.asarray(inputs)
    return draw_nested(family_key(place, width), *plans(width, settings), inputs, inputs.dtype)


@pytest.fixture(scope="module", params=[4, 9], ids=["fewer points than neurons", "more"])
def samples(request):
    """Hidden matrices and what both draws show of the second layer: (draw, ...) each."""
    settings = NetworkSettings(hidden_layers=2, parametrization="standard", base_width=4)
    inputs = np.random.default_rng(1).standard_normal((request.param, DIMENSION))
    with jax.enable_x64(True):
        plan, rules = plans(WIDTH, settings)
        phi, points = activation(settings), jnp.asarray(inputs)

        def seen(model):
            features = [phi(h) for h in preactivations(model, points)]
            return model.hidden[1] / rules.hidden[1].std, features[0], features[1] @ features[1].T

        def nested(place):
            return seen(draw_nested(family_key(place, WIDTH), plan, rules, points, "float64"))

        def alone(place):
            return seen(draw(jax.random.fold_in(jax.random.key(8), place), plan, rules, "float64"))

        at = jnp.arange(DRAWS)
        return [[np.asarray(x) for x in jax.jit(jax.vmap(each))(at)] for each in (nested, alone)]


def test_hidden_matrices_are_white_and_independent_of_the_features(samples):
    """Along fixed directions and along those of the features, whose law would betray a dependence."""
    (matrices, features, _), _ = samples
    own = features[:, 0] / np.linalg.norm(features[:, 0], axis=1, keepdims=True)
    along = np.einsum("bij,bj->bi", matrices, own)
    for values in (matrices.reshape(DRAWS, -1), along):
        assert stats.kstest(values.ravel(), "norm").pvalue > FALSE_ALARM
        covariance = np.cov(values.T)
        bound = stats.norm.isf(FALSE_ALARM / covariance.size) * np.sqrt(2 / DRAWS)
        assert bound < 0.15, "too few draws to see a correlation"
        np.testing.assert_allclose(covariance, np.eye(len(covariance)), atol=bound)


def test_the_kernel_of_the_next_layer_has_the_law_of_independent_draws(samples):
    (*_, nested), (*_, alone) = samples
    for i in (0, 1, 3):
        assert stats.ks_2samp(nested[:, 0, i], alone[:, 0, i]).pvalue > FALSE_ALARM
    both = [stats.spearmanr(k[:, 0, 0], k[:, 1, 1]).statistic for k in (nested, alone)]
    assert abs(both[0] - both[1]) < 6 / np.sqrt(DRAWS)


@pytest.mark.parametrize("parametrization", ["mean_field", "ntk"])
def test_a_part_shows_its_neurons_the_white_numbers_of_the_whole(parametrization):
    settings = NetworkSettings(hidden_layers=3, parametrization=parametrization)
    inputs = np.random.default_rng(2).standard_normal((4, DIMENSION))
    with jax.enable_x64(True):
        whole = drawn(16, settings, inputs, 1)
        parts = [drawn(8, settings, inputs, place) for place in (2, 3)]
        rules = plans(16, settings)[1], plans(8, settings)[1]
        for tensor in ("hidden", "readout"):
            axis = 0 if tensor == "hidden" else 1
            first = [jax.tree.leaves(getattr(m, tensor))[0] for m in (whole, *parts)]
            scale = [
                jax.tree.leaves(getattr(r, tensor), is_leaf=lambda x: hasattr(x, "std"))[0].std for r in rules
            ]
            joined = np.concatenate([np.asarray(x) / scale[1] for x in first[1:]], axis)
            np.testing.assert_allclose(joined, first[0] / scale[0], rtol=1e-12)
        for layer in (1, 2):
            white = []
            for model, rule in zip((whole, *parts), (rules[0], *[rules[1]] * 2), strict=True):
                features = activation(settings)(preactivations(model, jnp.asarray(inputs))[layer - 1])
                triangle = np.linalg.cholesky(np.asarray(features @ features.T))
                reaching = np.asarray(features @ model.hidden[layer].T) / rule.hidden[layer].std
                white.append(np.linalg.solve(triangle, reaching))
            np.testing.assert_allclose(np.concatenate(white[1:], axis=1), white[0], rtol=1e-9)
            assert not np.allclose(model.hidden[layer], whole.hidden[layer][8:, 8:])


def test_a_readout_that_starts_at_zero_does():
    settings = NetworkSettings(readout="zero")
    model = drawn(4, settings, np.zeros((0, DIMENSION), np.float32), 0)
    assert not np.asarray(model.readout).any()
    assert np.asarray(model.hidden[0]).all()
