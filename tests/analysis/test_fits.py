"""Limits of infinite width and power laws against exact laws and simulated truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from widthwise.analysis.estimate import Estimate
from widthwise.analysis.fits import combine, fit_power_law, limit_coefficients

WIDTHS = np.array([32.0, 64.0, 128.0, 256.0])


@given(st.floats(-3, 3), st.floats(-50, 50), st.floats(0.1, 10))
def test_limit_is_exact_for_a_remainder_of_one_order(limit, slope, tilt):
    coefficients = limit_coefficients(WIDTHS, np.array([1.0, tilt, 2.0, 3.0]))
    assert coefficients @ (limit + slope / WIDTHS) == pytest.approx(limit, abs=1e-9)


def test_one_width_is_its_own_limit():
    assert limit_coefficients(np.array([7.0]), np.array([2.0])).tolist() == [1.0]


def test_combined_error_is_that_of_a_weighted_sum():
    both = combine(np.array([2.0, -1.0]), [Estimate(1.0, 0.3, 9.0), Estimate(0.5, 0.4, 9.0)])
    assert both.value == pytest.approx(1.5)
    assert both.error == pytest.approx(math.hypot(0.6, 0.4))
    assert 9.0 < both.dof < 18.0


def test_unknown_errors_stay_unknown():
    both = combine(np.array([1.0, 1.0]), [Estimate(1.0, 0.3, 9.0), Estimate(0.5, math.inf, 1.0)])
    assert both.interval() == (-math.inf, math.inf)


def test_exact_power_law_is_found_exactly():
    squared = (3.0 * WIDTHS**-0.5) ** 2
    noise = np.exp(0.1 * np.random.default_rng(0).standard_normal((200, 4)))
    law = fit_power_law(WIDTHS, squared, squared * noise, alpha=0.05)
    assert law is not None
    assert law.exponent == pytest.approx(-0.5)
    assert law.amplitude == pytest.approx(3.0)
    assert law.low < -0.5 < law.high


def test_one_width_has_no_slope():
    assert fit_power_law(WIDTHS[:1], np.ones(1), np.ones((5, 1)), alpha=0.05) is None


def test_interval_of_the_exponent_covers_the_truth(seed):
    """300 ensembles of 24 seeds; coverage of a 95 % bootstrap interval.

    Threshold at a false-alarm rate of 1e-4 if the true coverage is 90 % (percentile intervals of so few seeds
    are a little narrow); would see 80 %.
    """
    rng, repeats, covered = np.random.default_rng(seed), 300, 0
    for _ in range(repeats):
        own = rng.chisquare(6, size=(24, 4)) / 6 / WIDTHS
        draws = rng.multinomial(24, np.full(24, 1 / 24), size=200) @ own / 24
        law = fit_power_law(WIDTHS, own.mean(axis=0), draws, alpha=0.05)
        assert law is not None
        covered += law.low <= -0.5 <= law.high
    bound = stats.binom.isf(1 - 1e-4, repeats, 0.90)
    assert stats.binom.cdf(bound, repeats, 0.80) > 0.9, "too few repeats for this resolution"
    assert covered >= bound
