"""Marks of large learning rates on curves whose marks are known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise.analysis.stability import (
    catapult_ratio,
    first_crossing,
    share_at_the_edge,
    sharpening_slope,
    spikes,
    spikes_apart,
    stability_threshold,
)

STEPS = np.array([0, 10, 20, 30, 40, 50, 60])


def diverges(rate, optimizer, momentum=0.9, steps=4000):
    """Whether an optimizer diverges on x^2 / 2 at a rate: simulated."""
    x, v = 1.0, 0.0
    for _ in range(steps):
        if optimizer == "gd":
            x -= rate * x
        elif optimizer == "momentum":
            v = momentum * v + x
            x -= rate * v
        else:  # the first moment of Adam is an average of gradients
            v = momentum * v + (1 - momentum) * x
            x -= rate * v
        if abs(x) > 1e6:
            return True
    return False


@pytest.mark.parametrize("optimizer", ["gd", "momentum", "adam"])
def test_a_quadratic_loss_diverges_just_above_the_threshold(optimizer):
    threshold = stability_threshold(optimizer, 0.9)
    assert not diverges(0.99 * threshold, optimizer) and diverges(1.01 * threshold, optimizer)


def test_sharpening_is_the_slope_before_the_first_crossing():
    rising = 0.5 + 0.05 * STEPS  # crosses 2 after step 30
    curve = np.where(STEPS > 30, 2.0 + 0.1 * (-1.0) ** np.arange(7), rising)
    below = 0.01 * STEPS
    found = sharpening_slope(STEPS, np.array([curve, below]), 2.0)
    np.testing.assert_allclose(found, [0.05, 0.01])
    np.testing.assert_array_equal(first_crossing(STEPS, np.array([curve, below]), 2.0), [40, np.nan])


def test_a_network_that_starts_above_the_threshold_has_no_sharpening():
    assert np.isnan(sharpening_slope(STEPS, np.full((1, 7), 3.0), 2.0))
    assert first_crossing(STEPS, np.full((1, 7), 3.0), 2.0) == 0


def test_the_share_at_the_edge_counts_steps_within_two_tenths_of_two():
    curve = np.array([[1.0, 1.79, 1.81, 2.0, 2.19, 2.21, 3.0]])
    np.testing.assert_allclose(share_at_the_edge(curve, 2.0), 3 / 7)


def test_catapults_are_relative_to_the_initial_loss():
    np.testing.assert_allclose(catapult_ratio(np.array([[2.0, 5.0, 0.1], [2.0, 1.0, 0.1]])), [2.5, 1.0])


@given(st.sets(st.integers(8, 39), max_size=4), st.floats(0.1, 100))
def test_spikes_are_found_where_they_are_put_in_any_unit(at, unit):
    """On a loss that falls by a tenth a step, jumps to four times it; between jumps nothing is a spike."""
    at = {step for step in at if not {step - 1, step - 2} & at}
    curve = 0.9 ** np.arange(40)
    curve[list(at)] *= 4
    assert set(np.flatnonzero(spikes(unit * curve[None])[0])) == at


def test_equal_sets_of_spikes_are_not_apart():
    first, second = np.array([True, False, True]), np.array([False, True, False])
    assert spikes_apart(first, first) == 0 and spikes_apart(first, second) == 1
    assert spikes_apart(np.zeros(3, bool), np.zeros(3, bool)) == 0
