"""What an audit says in sentences is true of the numbers it is said of."""

import numpy as np
import pytest

from widthwise.analysis.ensembling import measure_ensembling
from widthwise.audit.claims.bias import Ensembles
from widthwise.audit.sentences import shares, tracking

STEPS = np.array([0, 1, 2, 5, 10, 20, 50, 100])
WORDS = ("N = 256", "test loss")


def said(gap, error=0.0):
    return tracking(16, STEPS, np.array(gap, dtype=float), np.full(len(STEPS), error), WORDS)


def test_an_early_spike_is_said_to_be_one():
    told = said([0, 0.3, 0.25, 0.004, 0.004, 0.004, 0.004, 0.004])
    assert told == (
        "N = 16 tracks N = 256 within 1 % of the test loss except at steps 1 to 2, where it may be 30 % away."
    )


def test_a_gap_that_grows_is_said_to_last_to_the_end():
    told = said([0, 0.01, 0.01, 0.01, 0.02, 0.04, 0.08, 0.12])
    assert "within 1 %" in told and "except at steps 10 to 100, where it may be 12 % away" in told


@pytest.mark.parametrize("share", [0.2, 0.02])
def test_a_gap_that_is_small_throughout_is_said_to_be(share):
    assert said([share] * len(STEPS)) == (
        f"N = 16 tracks N = 256 within {100 * share:.0f} % of the test loss to the last step, 100."
    )


def test_noise_is_no_agreement_and_no_gap():
    told = said([0.1] * len(STEPS), error=0.3)
    assert "10 % ± 60 % away" in told and told.endswith("which noise hides: train more seeds.")
    assert said([0.9] * len(STEPS), error=0.1).endswith("at the last step, 100.")


def test_many_stretches_are_counted():
    told = said([0.5, 0, 0.5, 0, 0.5, 0, 0, 0])
    assert "except at 3 of 8 recorded steps, between 0 and 10" in told


def ensembles(seeds, rng, widths=(16, 32, 64, 128)):
    """Outputs of bias 1/N and variance 4/N: in the squared loss of targets 0 nearly all is variance."""
    found = [
        measure_ensembling(
            1 / n + 2 / np.sqrt(n) * rng.standard_normal((seeds, 40, 1)), np.zeros((40, 1)), "mse", rng
        )
        for n in widths
    ]
    return Ensembles(widths, 9, "test", tuple(found))


def test_a_share_of_variance_comes_with_its_interval(seed):
    (first, *_) = shares(ensembles(24, np.random.default_rng(seed)), None)
    low, high = first.split("interval ")[1].split(")")[0].split(" to ")
    assert float(low.strip("%")) <= 98 and float(high.strip("%")) >= 95


def test_two_seeds_tell_no_share(seed):
    told = shares(ensembles(2, np.random.default_rng(seed)), None)
    assert told and all(
        sentence.endswith("how much is variance is open: train more seeds.") for sentence in told
    )


def test_of_few_widths_the_gap_is_to_the_widest(seed):
    told = shares(ensembles(24, np.random.default_rng(seed), (16, 64)), None)
    assert len(told) == 1 and "to an infinite ensemble of N = 64" in told[0]
