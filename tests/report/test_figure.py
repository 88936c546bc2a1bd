"""The plain data that figures are made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from widthwise.report.figure import chosen_steps, plain, step_axis, value_axis


@given(arrays(np.float64, 5))
def test_plain_numbers_are_close_or_missing(values):
    for value, rounded in zip(values, plain(values), strict=True):
        if np.isfinite(value):
            assert rounded == pytest.approx(value, rel=1e-3)
        else:
            assert rounded is None


@given(st.integers(1, 3000))
def test_chosen_steps_keep_both_ends_and_few_between(count):
    chosen = chosen_steps(np.arange(count))
    assert chosen[0] == 0 and chosen[-1] == count - 1
    assert len(chosen) == len(set(chosen)) == min(count, 160)


def test_steps_recorded_logarithmically_are_drawn_so():
    assert step_axis(np.array([0, 1, 2, 4, 8, 16, 32, 64]))["type"] == "log"
    assert step_axis(np.arange(50))["type"] == "linear"
    assert step_axis(np.array([0]))["type"] == "linear"


def test_values_over_decades_are_drawn_logarithmically():
    assert value_axis("loss", [np.array([1.0, 0.01])])["type"] == "log"
    assert value_axis("loss", [np.array([1.0, 0.0])])["type"] == "linear"
    assert value_axis("loss", [None])["type"] == "linear"
