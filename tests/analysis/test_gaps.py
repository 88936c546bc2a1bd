"""Gaps between widths: unbiased, their tests valid with few seeds, and able to see."""

import numpy as np
import pytest
from scipy import stats

from widthwise.analysis.ensembling import measure_ensembling, variance_exponent
from widthwise.analysis.gaps import Products, converging_gaps, difference, gap_exponent, gap_interval

WIDTHS = (16, 32, 64, 128)
LEAST = 0.25


def products_of(functions: list[np.ndarray]) -> Products:
    flat = np.concatenate(functions)
    owner = np.repeat(np.arange(len(functions)), [len(f) for f in functions])
    return Products(WIDTHS[: len(functions)], owner, flat @ flat.T / flat.shape[1])


def ensemble(rng, means, seeds, modes, spread=2.0):
    """Networks of each width around a mean, with noise ~ N^-1/2 in a few directions."""
    basis = rng.standard_normal((modes, means.shape[1])) / np.sqrt(modes)
    return [
        mean + spread * (16 / n) ** 0.5 * rng.standard_normal((seeds, modes)) @ basis
        for n, mean in zip(WIDTHS, means, strict=True)
    ]


def test_unbiased_distance_is_that_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    functions = ensemble(rng, rng.standard_normal((4, 30)), 5, 3)
    products = products_of(functions)
    a, b = functions[0], functions[2]
    floors = [v.var(axis=0, ddof=1).mean() / 5 for v in (a, b)]
    expected = ((a.mean(0) - b.mean(0)) ** 2).mean() - sum(floors)
    assert products.unbiased(0, 2) == pytest.approx(expected)
    assert products.variance(1) == pytest.approx(functions[1].var(axis=0, ddof=1).mean())


def test_unbiased_distance_has_the_true_mean(seed):
    """400 ensembles; within 4.5 standard errors, a false-alarm rate of 1e-5; sees a tenth of the floors."""
    rng = np.random.default_rng(seed)
    means = np.zeros((4, 30))
    means[1] = 0.5
    found, floors = [], []
    for _ in range(400):
        products = products_of(ensemble(rng, means, 4, 5))
        found.append(products.unbiased(0, 1))
        floors.append(products.floor(0) + products.floor(1))
    error = np.std(found) / 20
    assert 4.5 * error < 0.3 * np.mean(floors), "too few ensembles for this resolution"
    assert abs(np.mean(found) - 0.25) < 4.5 * error


@pytest.mark.parametrize("seeds", [3, 6])
@pytest.mark.parametrize("modes", [1, 5])
def test_null_is_rarely_rejected_even_at_its_edge(seed, seeds, modes):
    """250 ensembles whose wide gap is exactly kappa times the narrow one. At level 0.05, fails with
    probability 1e-3 if the size is 0.05, and sees a size of 0.15."""
    rng, repeats, rejected = np.random.default_rng(seed), 250, 0
    kappa = (16 / 64) ** LEAST
    means = np.array([0.0, 1.0, 1.0, 1.0 + kappa])[:, None] * np.ones((1, 20))
    for _ in range(repeats):
        test = converging_gaps(products_of(ensemble(rng, means, seeds, modes)), least=LEAST, allowed=0.0)
        assert test is not None
        rejected += test.p_value < 0.05
    bound = stats.binom.isf(1e-3, repeats, 0.05)
    assert stats.binom.cdf(bound, repeats, 0.15) < 0.01, "too few repeats for this resolution"
    assert rejected <= bound


def test_gaps_beyond_the_resolution_are_seen(seed):
    """A wide gap at the stated resolution is rejected in at least half of 50 ensembles; stated: 0.8."""
    rng, seen = np.random.default_rng(seed), 0
    shape = np.ones((1, 20))
    for _ in range(50):
        flat = products_of(ensemble(rng, np.zeros((4, 20)), 6, 5))
        test = converging_gaps(flat, least=LEAST, allowed=0.05)
        assert test is not None
        gap = test.smallest(0.01)
        again = ensemble(rng, np.array([0.0, 0.0, 0.0, gap])[:, None] * shape, 6, 5)
        found = converging_gaps(products_of(again), least=LEAST, allowed=0.05)
        assert found is not None
        seen += found.p_value < 0.01
    assert seen >= 25


def test_more_seeds_sharpen_the_resolution(seed):
    rng = np.random.default_rng(seed)
    test = converging_gaps(products_of(ensemble(rng, np.zeros((4, 20)), 4, 5)), least=LEAST, allowed=0.05)
    assert test is not None
    assert test.smallest(0.01) > test.smallest(0.01, 4) > test.smallest(0.01, 100) > test.smallest(0.1, 100)


def test_two_widths_have_one_gap(seed):
    rng = np.random.default_rng(seed)
    functions = [rng.standard_normal((3, 5)) for _ in range(2)]
    assert converging_gaps(products_of(functions), least=LEAST, allowed=0.0) is None


@pytest.mark.parametrize("seeds", [4, 12])
def test_exponents_of_resolved_gaps_are_covered(seed, seeds):
    """300 ensembles. At 95 %, fails with probability 1e-3 if 9 % are missed, and sees 20 %."""
    rng, missed, repeats, halves = np.random.default_rng(seed), 0, 300, []
    means = np.array([48 / n for n in WIDTHS])[:, None] * rng.standard_normal((1, 20))
    for _ in range(repeats):
        found = gap_exponent(products_of(ensemble(rng, means, seeds, 5, spread=0.2)), 0.05, rng)
        assert found is not None
        missed += not found[1][0] <= 1.0 <= found[1][1]
        halves.append((found[1][1] - found[1][0]) / 2)
    bound = stats.binom.isf(1e-3, repeats, 0.09)
    assert stats.binom.cdf(bound, repeats, 0.2) < 0.05, "too few repeats for this resolution"
    assert missed <= bound and np.median(halves) < 0.25


def test_unresolved_gaps_have_no_exponent(seed):
    rng = np.random.default_rng(seed)
    assert gap_exponent(products_of(ensemble(rng, np.zeros((4, 20)), 4, 5)), 0.05, rng) is None


def test_variance_exponent_covers_one_at_its_rate(seed):
    """200 ensembles of 6 seeds; 95 % intervals; fails with probability 1e-4 at 95 %, sees 85 %."""
    rng, covered, repeats = np.random.default_rng(seed), 0, 200
    for _ in range(repeats):
        fit = variance_exponent(products_of(ensemble(rng, np.zeros((4, 20)), 6, 4))).overall
        low, high = fit.interval(0.05)
        covered += low < 1.0 < high
    bound = stats.binom.isf(1 - 1e-4, repeats, 0.95)
    assert stats.binom.cdf(bound, repeats, 0.80) > 0.9, "too few repeats for this resolution"
    assert covered >= bound


@pytest.mark.parametrize("seeds", [3, 7])
def test_squared_error_splits_exactly(seed, seeds):
    """L_single = B2 + V, and the curve over ensemble sizes is B2 + V / n."""
    rng = np.random.default_rng(seed)
    outputs, target = rng.standard_normal((seeds, 9, 2)), rng.standard_normal((9, 2))
    found = measure_ensembling(outputs, target, "mse", rng)
    variance = 0.5 * outputs.var(axis=0, ddof=1).sum(axis=1).mean()
    assert found.variance_part == pytest.approx(variance)
    sizes = np.arange(1, seeds + 1)
    assert found.curve == pytest.approx(found.infinite + variance / sizes)


def test_cross_entropy_of_infinite_ensembles_is_approached(seed):
    """Logits around a mean: from 8 networks, nearer to the mean's loss than the ensemble of 8 itself is, on
    average over 30 repeats."""
    rng = np.random.default_rng(seed)
    mean, target = rng.standard_normal((40, 3)), np.eye(3)[rng.integers(3, size=40)]
    logs = mean - np.log(np.exp(mean).sum(axis=1, keepdims=True))
    truth = -(target * logs).sum(axis=1).mean()
    whole, infinite = [], []
    for _ in range(30):
        found = measure_ensembling(mean + rng.standard_normal((8, 40, 3)), target, "cross_entropy", rng)
        whole.append(found.curve[-1] - truth)
        infinite.append(found.infinite - truth)
    assert abs(np.mean(infinite)) < 0.5 * abs(np.mean(whole))


@pytest.mark.parametrize("gap", [0.0, 2.0, 6.0])
def test_intervals_of_gaps_cover_the_true_gap(seed, gap):
    """300 ensembles, 8 seeds. At 95 %, fails with probability 1e-3 if 9 % are missed, and sees 20 %."""
    rng, repeats, missed, halves = np.random.default_rng(seed), 300, 0, []
    means = np.array([0.0, gap, gap, gap])[:, None] * np.ones((1, 20))
    for _ in range(repeats):
        products = products_of(ensemble(rng, means, 8, 4))
        value, (low, high) = gap_interval(products, difference(4, 0, 1), 0.05, rng)
        assert low <= value <= high
        missed += not low <= gap <= high
        halves.append(high - low)
    bound = stats.binom.isf(1e-3, repeats, 0.09)
    assert stats.binom.cdf(bound, repeats, 0.2) < 0.05, "too few repeats for this resolution"
    assert missed <= bound
    assert np.median(halves) < 3.5  # single networks scatter by 2


def test_what_all_networks_share_does_not_widen_intervals(seed):
    """A function ten times as large as the gaps, added to every network: same gaps, same intervals."""
    rng = np.random.default_rng(seed)
    means = np.array([1.0, 0.5, 0.25, 0.125])[:, None] * np.ones((1, 30))
    functions = ensemble(rng, means, 6, 8, spread=0.1)
    common = 10 * rng.standard_normal(30)
    found = []
    for shift in (0.0, common):
        products, draws = products_of([f + shift for f in functions]), np.random.default_rng(1)
        exponent = gap_exponent(products, 0.05, draws)
        assert exponent is not None
        value, interval = gap_interval(products, difference(4, 0, 3), 0.05, draws)
        found.append([exponent[0], *exponent[1], value, *interval])
    assert found[1] == pytest.approx(found[0], rel=1e-6)


def test_mean_squares_of_combinations_are_freed_of_noise(seed):
    """Over 400 ensembles, to four standard errors; of two widths exactly the unbiased distance."""
    rng = np.random.default_rng(seed)
    means = np.array([4.0, 2.0, 1.0, 0.7])[:, None] * rng.standard_normal(20)
    coefficients, found = [0.0, -0.5, 1.5, -1.0], []
    for _ in range(400):
        products = products_of(ensemble(rng, means, 4, 8))
        found.append(products.squared(coefficients))
        assert products.squared(difference(4, 0, 2)) == pytest.approx(products.unbiased(0, 2))
    truth = ((coefficients @ means) ** 2).mean()
    assert abs(np.mean(found) - truth) < 4 * np.std(found) / 20
