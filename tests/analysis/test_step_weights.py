"""Weights of steps in a shift measured over families: least error, no bias, honest with few families."""

import numpy as np
import pytest
from scipy import stats

from widthwise.analysis.step_weights import FEWEST_FAMILIES, step_weights

STEPS = np.arange(64)
EXPECTED = np.where(STEPS > 0, 1.0, 0.0) / 63
SIZE = 1 + 3 * np.log2(1 + STEPS)  # noise grows in time, and lasts


def families(rng, count, shift=1.0):
    """Steps that measure `shift` times what is expected, with noise that forgets in a factor two of time."""
    octaves = rng.standard_normal((count, 12))
    time = np.log2(1.0 + STEPS)[:, None] - np.arange(12)
    noise = octaves @ np.exp(-(time**2)).T
    return EXPECTED * (shift + SIZE * noise)


def test_weights_keep_what_is_expected_and_lose_noise(seed):
    measured = families(np.random.default_rng(seed), 400)
    weights, spans = step_weights(STEPS, measured, EXPECTED, 0 * EXPECTED)
    assert (weights >= 0).all() and weights @ EXPECTED == pytest.approx(1.0)
    assert 1 < spans < 13 and weights[1] > 10 * weights[-1]
    equal, chosen = (measured @ each for each in (np.ones(64), weights))
    assert chosen.std() < 0.5 * equal.std()


def test_what_theory_knows_badly_counts_little(seed):
    measured = families(np.random.default_rng(seed), 400)
    doubtful = np.where(STEPS < 8, EXPECTED, 0.0)
    sure = step_weights(STEPS, measured, EXPECTED, 0 * EXPECTED)[0]
    weights = step_weights(STEPS, measured, EXPECTED, doubtful)[0]
    assert weights[:8] @ EXPECTED[:8] < 0.5 * (sure[:8] @ EXPECTED[:8])


def test_few_families_leave_all_steps_equal(seed):
    measured = families(np.random.default_rng(seed), FEWEST_FAMILIES - 1)
    weights, spans = step_weights(STEPS, measured, EXPECTED, 0 * EXPECTED)
    assert spans == 1 and (weights == 1).all()


def test_intervals_at_chosen_steps_hold_the_truth(seed):
    """Weights that come from the same families make no interval too narrow: 5 % miss; sees 9 %."""
    rng, repeats, missed = np.random.default_rng(seed), 1500, 0
    for _ in range(repeats):
        measured = families(rng, 24)
        weights, spans = step_weights(STEPS, measured, EXPECTED, 0 * EXPECTED)
        found = measured @ weights
        error = found.std(ddof=1) / np.sqrt(24) * np.sqrt(23 / (24 - spans))
        missed += abs(found.mean() - 1.0) > stats.t.isf(0.025, 24 - spans) * error
    assert missed <= stats.binom.isf(1e-4, repeats, 0.06)
