"""What of a gap is variance and what is bias."""

import numpy as np
import pytest
from scipy import special

from widthwise.analysis.ensembling import Ensembling, losses_of, measure_ensembling, split_gap

WIDTHS = (16, 32, 64, 128)


def ensembles(rng, variance: float, bias: float, seeds: int = 8) -> list[Ensembling]:
    """Networks with V_N = variance / N, shifted from a perfect limit so that B2_N = bias / N."""
    target = np.zeros((200, 1))
    found = []
    for n in WIDTHS:
        noise = np.sqrt(2 * variance / n) * rng.standard_normal((seeds, 200, 1))
        shift = np.sqrt(2 * bias / n) * rng.choice([-1.0, 1.0], size=(200, 1))
        found.append(measure_ensembling(shift + noise, target, "mse", rng))
    return found


@pytest.mark.parametrize("share", [0.2, 0.8])
def test_share_of_variance_is_that_of_the_networks(seed, share):
    """V and B2 of 1/N with known shares: within 0.06, which 200 points of 8 seeds know to 0.01."""
    found = ensembles(np.random.default_rng(seed), 8 * share, 8 * (1 - share))
    for index in (0, 2):
        gap = split_gap(WIDTHS, found, index, 0.05)
        assert gap.share == pytest.approx(share, abs=0.06)
        assert gap.variance == pytest.approx(8 * share / WIDTHS[index], rel=0.15)
        assert gap.interval[0] <= gap.interval[1] <= 1


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_half_of_the_level_is_left_out_at_either_end(seed, alpha):
    """Of resamples of variance and bias that are given, against a limit that is known."""
    variance, bias = np.random.default_rng(seed).uniform(0.5, 1.0, (2, 4001))
    found = [Ensembling(np.array([5.0]), 4.0, 3.0 + bias, 3.0 + bias + variance)]
    low, high = split_gap((16,), found, 0, alpha, limit=3.0).interval
    shares = variance / (variance + bias)
    assert [(shares < low).mean(), (shares > high).mean()] == pytest.approx([alpha / 2] * 2, abs=1e-3)


def test_variance_and_bias_add_up_to_the_gap_of_one_network(seed):
    found = ensembles(np.random.default_rng(seed), 1.0, 3.0)
    gap = split_gap(WIDTHS, found, 0, 0.05)
    numbers = np.array(WIDTHS, dtype=float)
    infinite = [each.infinite for each in found]
    intercept = np.polynomial.polynomial.polyfit(1 / numbers, infinite, 1, w=np.sqrt(numbers))[0]
    assert gap.variance + gap.bias == pytest.approx(found[0].single - intercept)


def test_narrow_networks_that_are_better_have_no_bias(seed):
    rng = np.random.default_rng(seed)
    found = ensembles(rng, 1.0, 0.0)[:1] + ensembles(rng, 1.0, 500.0)[1:2]
    gap = split_gap(WIDTHS[:2], found, 0, 0.05)
    assert gap.bias < 0
    assert gap.share == 1


def test_losses_are_those_of_a_library(seed):
    """Also of logits whose exponentials overflow."""
    rng = np.random.default_rng(seed)
    logits, target = 1000 * rng.standard_normal((4, 5, 3)), np.eye(3)[rng.integers(3, size=5)]
    expected = -(target * special.log_softmax(logits, axis=2)).sum(axis=2).mean(axis=1)
    np.testing.assert_allclose(losses_of(logits, target, "cross_entropy"), expected, rtol=1e-12)
    squared = ((logits - target) ** 2).sum(axis=2).mean(axis=1) / 2
    np.testing.assert_allclose(losses_of(logits, target, "mse"), squared)


@pytest.mark.parametrize("kind", ["mse", "cross_entropy"])
def test_infinite_ensembles_are_those_of_the_true_mean(seed, kind):
    """Of 100 ensembles of 8 networks, in units of what ensembling removes of one network's loss: the mean of
    the extrapolated loss is that of the mean outputs within 0.05 (4 standard errors or more), where the
    largest ensemble at hand is off by more than 0.1."""
    rng = np.random.default_rng(seed)
    center, target = rng.standard_normal((300, 3)), np.eye(3)[rng.integers(3, size=300)]
    truth = float(losses_of(center[None], target, kind)[0])
    left, largest = [], []
    for _ in range(100):
        found = measure_ensembling(center + 0.7 * rng.standard_normal((8, 300, 3)), target, kind, rng)
        assert (np.diff(found.curve) < 0).all()
        left.append((found.infinite - truth) / (found.single - truth))
        largest.append((found.curve[-1] - truth) / (found.single - truth))
    assert np.std(left) / 10 < 0.0125, "resolved"
    assert abs(np.mean(left)) < 0.05 and np.mean(largest) > 0.1
