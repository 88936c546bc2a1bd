"""The largest |t| under random signs: exactness, blocks, small ensembles; Holm's method."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from widthwise.analysis import signflip
from widthwise.analysis.signflip import holm, largest_t, sign_choices, student_t


def test_few_seeds_get_every_different_choice_once():
    signs = sign_choices(4, 999, np.random.default_rng(0))
    assert signs.shape == (7, 4)
    both = {tuple(row) for row in signs} | {tuple(-row) for row in signs}
    assert len(both) == 14
    assert tuple(np.ones(4)) not in both


def test_p_value_of_one_element_matches_the_t_test(seed):
    rng = np.random.default_rng(seed)
    residuals = rng.standard_normal((40, 1)) + 0.3
    found = largest_t(residuals, sign_choices(40, 20_000, rng), np.zeros(1))
    expected = stats.ttest_1samp(residuals[:, 0], 0.0)
    assert student_t(found.observed, 40) == pytest.approx(abs(expected.statistic), rel=1e-9)
    assert found.p_value() == pytest.approx(expected.pvalue, rel=0.25)


def test_p_value_is_uniform_for_correlated_heavy_tailed_elements(seed):
    """Rejections at 5 % of 600 true hypotheses; limits at a false-alarm rate of 1e-4; sees a rate of 12 %."""
    rng = np.random.default_rng(seed)
    repeats, modes = 600, rng.standard_normal((4, 25))
    rejected = 0
    for _ in range(repeats):
        residuals = rng.standard_t(3, size=(16, 4)) @ modes
        rejected += largest_t(residuals, sign_choices(16, 199, rng), np.zeros(25)).p_value() <= 0.05
    low, high = stats.binom.isf([1 - 5e-5, 5e-5], repeats, 0.05)
    assert stats.binom.cdf(high, repeats, 0.12) < 0.05, "too few repeats for this resolution"
    assert low <= rejected <= high


def test_blocks_of_elements_merge_to_the_whole(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    residuals, signs = rng.standard_normal((10, 30)), sign_choices(10, 50, rng)
    whole = largest_t(residuals, signs, np.zeros(30))
    first, second = (largest_t(residuals[:, s], signs, np.zeros(15)) for s in (slice(15), slice(15, 30)))
    monkeypatch.setattr(signflip, "COLUMNS_A_BLOCK", 7)
    for other in (first.merged(second), largest_t(residuals, signs, np.zeros(30))):
        assert other.observed == pytest.approx(whole.observed)
        np.testing.assert_allclose(other.flipped, whole.flipped, rtol=1e-6)


def test_theorys_error_is_forgiven_and_nothing_else(seed):
    rng = np.random.default_rng(seed)
    residuals = 0.01 * rng.standard_normal((20, 3)) + np.array([0.0, 0.1, 0.0])
    signs = sign_choices(20, 200, rng)
    assert largest_t(residuals, signs, np.zeros(3)).p_value() < 0.01
    assert largest_t(residuals, signs, np.array([0.0, 0.11, 0.0])).p_value() > 0.05
    assert largest_t(residuals, signs, np.array([0.11, 0.0, 0.11])).p_value() < 0.01


def test_elements_that_never_differ_from_theory_count_as_zero():
    found = largest_t(np.zeros((6, 4)), sign_choices(6, 99, np.random.default_rng(0)), np.zeros(4))
    assert found.observed == 0.0
    assert found.p_value() == 1.0


def test_one_seed_can_reject_nothing():
    found = largest_t(np.ones((1, 3)), sign_choices(1, 99, np.random.default_rng(0)), np.zeros(3))
    assert found.p_value() == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_the_p_values_and_bonferroni(p_values):
    adjusted = holm(p_values)
    assert all(p <= a <= min(1.0, len(p_values) * p) for p, a in zip(p_values, adjusted, strict=True))
    by_rank = [adjusted[i] for i in np.argsort(p_values, kind="stable")]
    assert by_rank == sorted(by_rank)
