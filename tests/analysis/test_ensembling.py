"""What of a gap is variance and what is bias."""

import numpy as np
import pytest

from widthwise.analysis.ensembling import Ensembling, measure_ensembling, split_gap

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
