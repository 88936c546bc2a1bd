"""Divergences of attention: closed forms, symmetries, and heads matched against all permutations."""

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from widthwise.analysis.attention_heads import matched_divergence, mean_divergence, relative_entropy_of_rows
from widthwise.analysis.pairs import compare_pairs, entropy, jensen_shannon


def random_heads(rng, heads=4, queries=3, keys=5):
    return rng.dirichlet(np.ones(keys), size=(heads, queries))


def by_definition(p, q):
    """Jensen and Shannon's divergence as the mean Kullback-Leibler divergence to the mixture."""
    middle = (p + q) / 2
    return (stats.entropy(p, middle, axis=-1) + stats.entropy(q, middle, axis=-1)) / 2


def test_divergence_is_the_mean_distance_from_the_mixture(seed):
    rng = np.random.default_rng(seed)
    p, q = random_heads(rng), random_heads(rng)
    np.testing.assert_allclose(jensen_shannon(p, q), by_definition(p, q), rtol=1e-12)
    np.testing.assert_allclose(jensen_shannon(p, q), jensen_shannon(q, p), rtol=1e-12)
    assert (jensen_shannon(p, q) <= np.log(2)).all() and (jensen_shannon(p, p) == 0).all()


def test_keys_that_are_not_seen_add_nothing():
    p, q = np.array([0.2, 0.8, 0.0]), np.array([0.7, 0.3, 0.0])
    assert jensen_shannon(p, q) == pytest.approx(float(jensen_shannon(p[:2], q[:2])))
    assert entropy(np.array([1.0, 0.0])) == 0


def test_matching_is_the_best_of_all_permutations(seed):
    rng = np.random.default_rng(seed)
    first, second = random_heads(rng), random_heads(rng)
    found = matched_divergence(first, second)
    all_of_them = [by_definition(first, second[list(order)]).mean() for order in permutations(range(4))]
    assert found == pytest.approx(min(all_of_them))
    assert found < by_definition(first, second).mean(), "heads as they stand are not the best match"


def test_heads_in_another_order_are_the_same_network(seed):
    heads = random_heads(np.random.default_rng(seed))
    assert matched_divergence(heads, heads[::-1]) == pytest.approx(0, abs=1e-12)
    assert mean_divergence(heads, heads[::-1]) == pytest.approx(0, abs=1e-12)


def test_networks_with_fewer_heads_are_matched_with_some(seed):
    heads = random_heads(np.random.default_rng(seed))
    assert matched_divergence(heads[2:], heads) == pytest.approx(0, abs=1e-12)
    assert matched_divergence(heads, heads[:1]) == pytest.approx(0, abs=1e-12)


def test_entropy_of_rows_is_relative_to_their_keys():
    rows = np.array([[[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [1 / 3, 1 / 3, 1 / 3]]])
    found = relative_entropy_of_rows(rows, np.array([1, 2, 3]))[0]
    expected = [np.nan, stats.entropy([0.25, 0.75], base=2), 1.0]
    np.testing.assert_allclose(found, expected)


def test_pairs_of_one_law_are_at_their_floor(seed):
    """400 ensembles of 2 x 6 numbers: the mean of value - floor is within 5 standard errors of zero; would
    see a bias of 2 %."""
    rng, left = np.random.default_rng(seed), []
    for _ in range(400):
        values = rng.standard_normal((2, 6))
        found = compare_pairs(*values, lambda a, b: float(abs(a - b)), alpha=0.05, rng=rng)
        left.append(found.value - found.floor)
    error = np.std(left) / 20
    assert 5 * error < 0.1 * 2 / np.sqrt(np.pi) * 2
    assert abs(np.mean(left)) < 5 * error


def test_the_interval_of_pairs_covers_their_mean(seed):
    """E|a - b| of N(0,1) and N(1,1) by quadrature; 95 % intervals from 2 x 12 numbers hold it in at least 75
    % of 200 repetitions (90 % of which a bootstrap of so few numbers covers; fails there with p < 1e-6)."""
    rng, inside = np.random.default_rng(seed), 0
    exact = float(stats.foldnorm.mean(1 / np.sqrt(2), scale=np.sqrt(2)))
    for _ in range(200):
        narrow, wide = rng.standard_normal(12), 1 + rng.standard_normal(12)
        found = compare_pairs(narrow, wide, lambda a, b: float(abs(a - b)), alpha=0.05, rng=rng)
        inside += found.interval[0] <= exact <= found.interval[1]
    assert 150 <= inside < 200


def test_one_network_a_width_has_no_floor(seed):
    rng = np.random.default_rng(seed)
    found = compare_pairs(np.zeros(1), np.ones(1), lambda a, b: float(abs(a - b)), alpha=0.05, rng=rng)
    assert found.value == 1 and np.isnan(found.floor) and found.interval == (1, 1)
