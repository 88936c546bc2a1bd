"""Distances and moments of distributions known by quantiles, against closed forms and samples."""

import numpy as np
import pytest
from scipy import stats

from widthwise.analysis.distributions import raw_moments, shape_of, wasserstein
from widthwise.records.schema import QUANTILE_LEVELS

LEVELS = np.array(QUANTILE_LEVELS)


def test_moments_of_a_gaussian_are_exact():
    moments = raw_moments(LEVELS, stats.norm.ppf(LEVELS, loc=0.7, scale=2.0))
    np.testing.assert_allclose(moments, [stats.norm.moment(k, 0.7, 2.0) for k in range(1, 5)], rtol=1e-8)
    np.testing.assert_allclose(shape_of(moments), [2, 0, 0], atol=1e-7)


@pytest.mark.parametrize(
    ("law", "tolerance"), [(stats.uniform, 0.06), (stats.gamma(4), 0.25), (stats.logistic, 0.4)]
)
def test_shapes_of_other_laws_are_near(law, tolerance):
    """Tails beyond the outermost levels are taken for a Gaussian's: kurtosis is low for heavier ones."""
    deviation, skewness, kurtosis = shape_of(raw_moments(LEVELS, law.ppf(LEVELS)))
    assert deviation == pytest.approx(law.std(), rel=0.02)
    skew, excess = law.stats(moments="sk")
    assert skewness == pytest.approx(float(skew), abs=tolerance)
    assert kurtosis == pytest.approx(float(excess), abs=tolerance)


def test_pooled_moments_are_those_of_the_mixture():
    """Two Gaussians of means -1 and 1: variance 2, kurtosis 3 + 6 + 1 over 4, less 3."""
    curves = stats.norm.ppf(LEVELS[None], loc=np.array([[-1.0], [1.0]]))
    np.testing.assert_allclose(
        shape_of(raw_moments(LEVELS, curves).mean(axis=1)), [2**0.5, 0, 10 / 4 - 3], atol=1e-6
    )


def test_what_has_no_spread_has_no_shape():
    assert np.isnan(shape_of(raw_moments(LEVELS, np.full(len(LEVELS), 2.0)))[1:]).all()


@pytest.mark.parametrize("shift", [0.01, 0.5, 3.0])
def test_a_shift_is_its_own_distance(shift):
    curve = stats.norm.ppf(LEVELS)[None]
    assert wasserstein(LEVELS, curve, curve + shift) == pytest.approx(shift, rel=0.012)
    assert wasserstein(LEVELS, curve, curve) == 0


def test_distance_of_two_widths_is_that_of_sorted_samples(seed):
    """Against scipy's distance of 20,000 values, within 2 %: of N(0, 1) and N(0, 1.5)."""
    rng = np.random.default_rng(seed)
    first, second = rng.standard_normal(20000), 1.5 * rng.standard_normal(20000)
    found = wasserstein(LEVELS, np.quantile(first, LEVELS)[None], np.quantile(second, LEVELS)[None])
    assert found == pytest.approx(stats.wasserstein_distance(first, second), rel=0.03)


def test_pooled_seeds_make_one_distribution(seed):
    """Half of the seeds at -1 and half at 1 are as far from N(0, 1) as the mixture is."""
    rng = np.random.default_rng(seed)
    curves = stats.norm.ppf(LEVELS[None], loc=np.array([[-1.0], [1.0]]))
    sample = rng.standard_normal(200000) + np.where(rng.random(200000) < 0.5, -1, 1)
    exact = stats.wasserstein_distance(sample, rng.standard_normal(200000))
    assert wasserstein(LEVELS, curves, stats.norm.ppf(LEVELS)[None]) == pytest.approx(exact, rel=0.05)
