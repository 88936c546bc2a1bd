"""The sequential test has the two errors it says, and needs few repeats."""

import numpy as np
import pytest
from scipy import stats
from sequential import happens_too_often

RUNS, RATE, WRONG = 2000, 0.05, 0.15


def answers(true_rate, rng, **errors):
    """How often of RUNS the answer is yes, and the repeats it took."""
    repeats = 0

    def happens():
        nonlocal repeats
        repeats += 1
        return rng.random() < true_rate

    yes = sum(happens_too_often(happens, RATE, WRONG, **errors) for _ in range(RUNS))
    return yes, repeats / RUNS


@pytest.mark.parametrize("error", [0.05, 0.2])
def test_both_errors_are_at_most_what_is_said_and_not_far_below(seed, error):
    """At a false-alarm rate of 1e-4. Errors are smaller by the step beyond a bound, a factor of 3 at most."""
    rng = np.random.default_rng(seed)
    most = stats.binom.isf(1e-4, RUNS, error)
    for true_rate, is_wrong in ((RATE, False), (WRONG, True)):
        yes, _ = answers(true_rate, rng, false_alarm=error, overlooked=error)
        mistaken = RUNS - yes if is_wrong else yes
        assert error / 4 * RUNS < mistaken <= most


def test_it_takes_a_third_of_the_repeats_of_a_fixed_number(seed):
    """A fixed number with the same errors is at least 120 here."""
    errors = {"false_alarm": 1e-3, "overlooked": 0.05}
    fixed = next(
        n for n in range(10, 500)
        if stats.binom.cdf(stats.binom.isf(errors["false_alarm"], n, RATE), n, WRONG) < errors["overlooked"]
    )  # fmt: skip
    _, repeats = answers(RATE, np.random.default_rng(seed), **errors)
    assert repeats < fixed / 2.5
