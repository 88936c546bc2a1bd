"""Statistics over seeds against brute force and against simulated truth."""

import numpy as np
import pytest
from scipy import stats

from widthwise.analysis.seeds import (
    bootstrap_counts,
    bootstrap_squared_distances,
    mean_squared_distance,
    pooled_variance,
    pooled_variance_relative_error,
    single_squared_distance,
)

FALSE_ALARM_RATE = 1e-4


def seed_products(deviations):
    """G_ij = sum over elements of d_ie d_je."""
    flat = deviations.reshape(len(deviations), -1)
    return flat @ flat.T


@pytest.fixture
def deviations(seed):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((12, 5, 7)) @ rng.standard_normal((7, 9)) + 0.4


def test_pooled_variance_is_the_sum_of_the_elements_variances(deviations):
    expected = deviations.var(axis=0, ddof=1).sum()
    assert float(pooled_variance(seed_products(deviations))) == pytest.approx(expected, rel=1e-12)


def test_relative_error_is_at_least_the_explicit_jackknife(deviations):
    products = seed_products(deviations)
    seeds = len(deviations)
    left_out = [np.delete(deviations, i, axis=0).var(axis=0, ddof=1).sum() for i in range(seeds)]
    jackknife = np.sqrt((seeds - 1) / seeds * ((left_out - np.mean(left_out)) ** 2).sum())
    error = float(pooled_variance_relative_error(products)) * float(pooled_variance(products))
    assert error >= jackknife * (1 - 1e-10)
    heavy = deviations * np.r_[4.0, np.ones(seeds - 1)][:, None, None]
    heavy_left_out = [np.delete(heavy, i, axis=0).var(axis=0, ddof=1).sum() for i in range(seeds)]
    heavy_jackknife = np.sqrt((seeds - 1) / seeds * ((heavy_left_out - np.mean(heavy_left_out)) ** 2).sum())
    products = seed_products(heavy)
    error = float(pooled_variance_relative_error(products)) * float(pooled_variance(products))
    assert error == pytest.approx(heavy_jackknife, rel=1e-10), (
        "one outlier: the jackknife is the larger of the two"
    )


@pytest.mark.parametrize("modes", [1, 6])
def test_relative_error_is_the_true_scatter_of_gaussian_pooled_variances(seed, modes):
    """Elements share `modes` modes; truth: sqrt(2 sum lambda^2 / (E - 1)) / sum lambda."""
    rng = np.random.default_rng(seed)
    pattern, seeds, repeats = rng.standard_normal((modes, 20)), 32, 400
    eigenvalues = np.linalg.eigvalsh(pattern @ pattern.T)
    truth = np.sqrt(2 * (eigenvalues**2).sum() / (seeds - 1)) / eigenvalues.sum()
    draws = rng.standard_normal((repeats, seeds, modes)) @ pattern
    errors = pooled_variance_relative_error(draws @ draws.transpose(0, 2, 1))
    assert 0.9 * truth < errors.mean() < 1.25 * truth


def test_relative_error_says_nothing_with_three_seeds_and_is_zero_where_nothing_varies():
    assert np.isinf(pooled_variance_relative_error(np.eye(3)))
    assert float(pooled_variance_relative_error(np.ones((5, 5)))) == 0.0


def test_mean_distance_is_the_sum_over_pairs_of_different_seeds(deviations):
    flat = deviations.reshape(len(deviations), -1)
    pairs = [flat[i] @ flat[j] for i in range(len(flat)) for j in range(len(flat)) if i != j]
    assert mean_squared_distance(seed_products(deviations)).squared == pytest.approx(
        np.mean(pairs), rel=1e-12
    )


def test_mean_distance_has_no_bias_from_noise(seed):
    """True squared distance 9 x 0.01; threshold at the stated rate; an unsubtracted noise would add 9 / E."""
    rng = np.random.default_rng(seed)
    seeds, repeats = 16, 2000
    draws = rng.standard_normal((repeats, seeds, 9)) + 0.1
    squared = np.array([mean_squared_distance(seed_products(d)).squared for d in draws])
    threshold = stats.norm.isf(FALSE_ALARM_RATE / 2) * squared.std() / np.sqrt(repeats)
    assert threshold < 0.2 * 9 / seeds, "too few repeats to see an unsubtracted noise"
    assert abs(squared.mean() - 0.09) < threshold


def test_mean_distance_z_has_unit_scatter_where_the_mean_is_theory(seed):
    rng = np.random.default_rng(seed)
    draws = rng.standard_normal((1500, 24, 30))
    z = np.array([mean_squared_distance(seed_products(d)).z for d in draws])
    assert abs(z.mean()) < 0.12
    assert 0.9 < z.std() < 1.1


def test_bootstrap_keeps_both_distances_free_of_bias(deviations, seed):
    products = seed_products(deviations)
    counts = bootstrap_counts(len(products), 40_000, np.random.default_rng(seed))
    single, mean = bootstrap_squared_distances(products, counts)
    assert single.mean() == pytest.approx(float(single_squared_distance(products)), rel=0.02)
    assert mean.mean() == pytest.approx(mean_squared_distance(products).squared, rel=0.05)


def test_one_seed_has_no_mean_distance():
    assert mean_squared_distance(np.ones((1, 1))).z == 0.0


def test_rounding_makes_no_variance_negative():
    """Products of seeds that agree to rounding, far from theory: as large numbers, they nearly cancel."""
    products = 1e36 * np.array([[1.0 - 1e-15, 1.0], [1.0, 1.0 - 1e-15]])
    assert pooled_variance(products) == 0.0
