"""Exponents from one number a network, and limits of infinite width, on simulated truth."""

import math

import numpy as np
import pytest
from scipy import stats

from widthwise.analysis.estimate import Estimate
from widthwise.analysis.exponents import fit_estimates, fit_exponent
from widthwise.analysis.extrapolate import extrapolate, limits, richardson
from widthwise.analysis.power import MARGIN, SlopePower, settle

WIDTHS = (16, 32, 64, 128)


def logs(rng, power, seeds, spread=0.1, decay=0.5):
    return [power * math.log(n) + spread * (16 / n) ** decay * rng.standard_normal(seeds) for n in WIDTHS]


def test_exact_power_is_found(seed):
    fit = fit_exponent(WIDTHS, logs(np.random.default_rng(seed), -0.5, 4, spread=1e-9))
    assert fit.overall.value == pytest.approx(-0.5)
    assert fit.p_value(-0.5, -0.5, 0.1) == pytest.approx(1.0)
    assert fit.p_value(-1.0, -1.0, 0.1) < 1e-6


@pytest.mark.parametrize("seeds", [3, 6])
@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_edge_of_the_null_is_rejected_at_most_at_its_level(seed, seeds, decay):
    """500 fits at the edge of the tolerance, level 0.05; fails with probability 1e-3 at that size, and sees
    0.11; scatter constant or falling as 1/N."""
    rng, repeats = np.random.default_rng(seed), 500
    rejected = sum(
        fit_exponent(WIDTHS, logs(rng, 0.2, seeds, decay=decay)).p_value(0.0, 0.0, 0.2) < 0.05
        for _ in range(repeats)
    )
    bound = stats.binom.isf(1e-3, repeats, 0.05)
    assert stats.binom.cdf(bound, repeats, 0.12) < 0.05, "too few repeats for this resolution"
    assert rejected <= bound


def test_a_wrong_power_beyond_the_resolution_is_seen(seed):
    """In at least 30 of 50 fits; stated: 80 % of them."""
    rng = np.random.default_rng(seed)
    fits = [fit_exponent(WIDTHS, logs(rng, 0.5, 6)) for _ in range(50)]
    powers = [SlopePower((f.overall, f.wide), 0.2, 6).smallest(1e-3) for f in fits]
    assert np.median(powers) < 0.5, "the resolution is not below the effect"
    assert sum(f.p_value(0.0, 0.0, 0.2) < 1e-3 for f in fits) >= 30


def test_a_bend_of_the_narrowest_width_is_forgiven(seed):
    """The narrowest width off by a factor of 2 bends the whole line by more than the tolerance."""
    values = logs(np.random.default_rng(seed), 0.0, 6, spread=0.01)
    values[0] = values[0] + math.log(2)
    fit = fit_exponent(WIDTHS, values)
    assert abs(fit.overall.value) > 0.2
    assert fit.p_value(0.0, 0.0, 0.2) > 0.5


def test_one_network_has_no_error():
    fit = fit_exponent(WIDTHS, [np.array([0.0]) for _ in WIDTHS])
    assert math.isinf(fit.overall.error) and fit.p_value(-1.0, -1.0, 0.1) == 1.0


def test_an_interval_null_forgives_what_lies_between():
    fit = fit_estimates(WIDTHS, [Estimate(-0.75 * math.log(n), 1e-3, 5.0) for n in WIDTHS])
    assert fit.p_value(-1.0, -0.5, 0.0) > 0.99
    assert fit.p_value(-1.5, -1.0, 0.1) < 1e-6


def test_seeds_that_settle_are_the_fewest():
    power = SlopePower((Estimate(0.0, 0.15, 8.0),), 0.2, 4)
    remedy = settle(power, 0.001, 0.5)
    assert remedy is not None and remedy.seeds > 0 and remedy.finer == 1.0
    wanted = MARGIN * 0.5
    assert power.smallest(0.001, remedy.seeds) <= wanted < power.smallest(0.001, remedy.seeds - 1)


def test_what_no_seeds_settle_is_said():
    assert settle(SlopePower((Estimate(0.0, 0.1, 8.0),), 0.6, 4), 0.001, 0.5) is None


def test_a_finer_theory_is_asked_for_where_its_own_error_is_the_limit():
    """Seeds alone would do too, in vain numbers: three quarters of the squared error are theory's."""
    power = SlopePower((Estimate(1.0, 0.2, 60.0, numerical=0.173),), 0.0, 8, sides=2)
    remedy = settle(power, 0.001, 0.7)
    assert remedy is not None and remedy.seeds == 0 and 1 < remedy.finer < 20
    assert power.smallest(0.001, finer=remedy.finer) <= 0.7 < power.smallest(0.001)
    hidden = SlopePower((Estimate(1.0, 0.5, 8.0, numerical=0.4),), 0.0, 8, sides=2)
    both = settle(hidden, 0.001, 0.7)
    assert both is not None and both.seeds > 0 and both.finer > 1
    assert hidden.smallest(0.001, both.seeds, both.finer) <= 0.7


def test_limit_and_exponent_of_a_power_law(seed):
    rng = np.random.default_rng(seed)
    widths = (16, 32, 64, 128, 256)
    values = [0.3 + 2 * n**-1.0 + 1e-4 * rng.standard_normal(6) for n in widths]
    found = extrapolate(widths, values, 0.05, rng)
    assert found is not None
    assert found.limit == pytest.approx(0.3, abs=1e-3)
    assert found.exponent == pytest.approx(1.0, abs=0.11)
    assert found.limit_interval[0] < 0.3005 and found.limit_interval[1] > 0.2995
    assert found.predicted == pytest.approx(found.measured, abs=1e-3)


def test_three_widths_do_not_fix_a_power_law(seed):
    rng = np.random.default_rng(seed)
    assert extrapolate((16, 32, 64), [rng.standard_normal(3) for _ in range(3)], 0.05, rng) is None


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_richardson_is_exact_for_its_own_power(power):
    f = {n: 1.0 + 3 * n**-power for n in (16.0, 40.0, 100.0, math.inf)}
    for at in (math.inf, 100.0, 16.0):
        narrow, wide = richardson(16, 40, at=at, exponent=power)
        assert narrow * f[16.0] + wide * f[40.0] == pytest.approx(f[at])


def test_distances_from_the_limit_have_their_errors(seed):
    """Standard errors against the scatter of 2000 draws, to a tenth: six standard errors of that scatter."""
    rng, widths = np.random.default_rng(seed), np.array(WIDTHS, dtype=float)
    squared = np.array([[0.04], [0.03], [0.02], [0.01]])
    draws = 1 + 5 / widths[:, None] + np.sqrt(squared) * rng.standard_normal((2000, 4, 1))
    gaps = np.array([means - limits(widths, means, squared)[0] for means in draws])
    errors = limits(widths, draws[0], squared)[1]
    assert gaps.mean(axis=0) == pytest.approx(5 / widths[:, None], abs=0.03)
    assert gaps.std(axis=0) == pytest.approx(errors, rel=0.1)
