"""The widths that are wide enough against the effects they promise."""

import numpy as np
import pytest
from synthetic_run import Truth, make_theory

from widthwise.analysis import wide_enough
from widthwise.errors import InputError

LABEL = "prediction, test"


@pytest.mark.parametrize("tolerance", [0.1, 0.01])
def test_at_each_width_of_the_table_its_effect_is_the_tolerance(tolerance):
    theory = make_theory(Truth())
    row = next(row for row in wide_enough(theory, tolerance) if row.label == LABEL)
    at = np.flatnonzero(theory["split"] == "test")
    value, variance, shift = (theory[f"prediction{s}"].to_numpy()[:, at] for s in ("", "_variance", "_shift"))
    for spread, drift in ((row.spread_last, row.shift_last), (row.spread_worst, row.shift_worst)):
        t = spread.step
        found = np.sqrt((variance[t] / spread.width).mean() / (value[t] ** 2).mean())
        assert found == pytest.approx(tolerance, rel=1e-9)
        t = drift.step
        found = np.sqrt(((shift[t] / drift.width) ** 2).mean() / (value[t] ** 2).mean())
        assert found == pytest.approx(tolerance, rel=1e-9)
    assert row.spread_last.step == theory["step"][-1]


def test_the_worst_step_is_worse_than_every_other():
    theory = make_theory(Truth())
    for row in wide_enough(theory):
        assert row.spread_worst.width >= row.spread_last.width
        cut = [wide_enough(theory.isel(step=slice(0, t)))[0].spread_last for t in range(2, 9)]
        worst = wide_enough(theory)[0].spread_worst
        assert worst.width == pytest.approx(max(each.width for each in cut))


def test_so_many_seeds_know_the_mean_to_the_tolerance_and_one_fewer_do_not():
    rows = wide_enough(make_theory(Truth()), 0.01, (32, 10**12))
    for row in rows:
        relative = 0.01 * np.sqrt(row.spread_last.width)  # of one network of width 1
        few, one = row.seeds
        assert relative / np.sqrt(32 * few) <= 0.01 < relative / np.sqrt(32 * (few - 1))
        assert one == 1


def test_a_theory_without_shifts_or_variances_says_so():
    theory = make_theory(Truth())
    row = wide_enough(theory.drop_vars("loss_shift"), 0.01, (32,))[2]
    assert row.label == "loss, train" and row.shift_last is None and row.spread_last is not None
    row = wide_enough(theory.drop_vars("loss_variance"), 0.01, (32,))[2]
    assert row.spread_last is None and row.spread_worst is None and row.seeds == (None,)


def test_a_step_at_which_nothing_is_known_is_left_out():
    theory = make_theory(Truth())
    theory["loss"][-1] = np.nan
    row = wide_enough(theory, 0.01, (32,))[2]
    assert row.spread_last is None and row.seeds == (None,) and row.spread_worst.step < 7


@pytest.mark.parametrize("tolerance", [0.0, -0.01, 1.5, np.nan, np.inf])
def test_tolerances_that_are_none_are_refused(tolerance):
    with pytest.raises(InputError, match=r"`tolerance` = .*such as 0\.01"):
        wide_enough(make_theory(Truth()), tolerance)
