"""Advice that is followed decides what it is about."""

import math

import numpy as np
import pytest
from synthetic_run import Truth, make_records, make_theory

from widthwise.analysis import compare

TRUTH = Truth(seeds=8, widths=(16, 32, 64), steps=4, train=1, test=1, modes=3, kernels=False, noise="normal")


def undecided(comparison, claim):
    return [row for row in comparison.verdicts if row.claim == claim and row.verdict == "underpowered"]


def test_as_many_seeds_as_it_says_decide_a_row(seed):
    few = compare(make_theory(TRUTH), make_records(TRUTH, np.random.default_rng(seed)))
    rows = undecided(few, "variance_scaling")
    assert rows and all(row.more_seeds and row.finer_theory is None for row in rows)
    assert "more seeds at each width would settle it" in rows[0].advice
    more = Truth(**TRUTH.__dict__ | {"seeds": TRUTH.seeds + max(row.more_seeds for row in rows)})
    assert not undecided(
        compare(make_theory(more), make_records(more, np.random.default_rng(seed))), "variance_scaling"
    )


def test_means_of_too_few_seeds_say_how_many_more_can_fail(seed):
    few = compare(make_theory(TRUTH), make_records(TRUTH, np.random.default_rng(seed)))
    rows = undecided(few, "mean_with_shift")
    assert rows
    more = Truth(**TRUTH.__dict__ | {"seeds": TRUTH.seeds + max(row.more_seeds for row in rows)})
    assert not undecided(
        compare(make_theory(more), make_records(more, np.random.default_rng(seed))), "mean_with_shift"
    )


def test_as_fine_a_theory_as_it_says_decides_a_row(seed):
    """Theory's own error is what hides the shift; it falls as one over the root of the scramblings."""

    def compared(seeds, error):
        truth = Truth(**TRUTH.__dict__ | {"seeds": seeds, "widths": (2, 4, 8)})
        theory = make_theory(truth)
        errors = {name: theory[name] * 0 + error for name in theory if str(name).endswith("_stderr")}
        return compare(theory.assign(errors), make_records(truth, np.random.default_rng(seed)))

    rows = [row for row in undecided(compared(500, 0.03), "shift_scaling") if row.finer_theory]
    assert rows and "times as many `theory.scramblings`" in rows[0].advice
    seeds, factor = (max(getattr(row, name) or 0 for row in rows) for name in ("more_seeds", "finer_theory"))
    finer = compared(500 + seeds, 0.03 / math.sqrt(factor))
    left = {row.where["part"] for row in undecided(finer, "shift_scaling")}
    assert not left & {row.where["part"] for row in rows}


@pytest.mark.parametrize("shift", [1.0, -4.0])
def test_what_is_off_beyond_chance_is_inconsistent_and_no_row_that_holds_the_expected_is(seed, shift):
    truth = Truth(**TRUTH.__dict__ | {"seeds": 400, "shift_factor": shift, "widths": (8, 16, 32)})
    found = compare(make_theory(truth), make_records(truth, np.random.default_rng(seed)))
    bad = [row for row in found.verdicts if row.verdict == "inconsistent"]
    assert bool(bad) == (shift != 1.0)
    for row in found.verdicts:
        if row.judges and row.expected is not None and row.verdict == "inconsistent":
            assert row.misses
        if row.verdict == "underpowered" and row.misses:
            assert "undecided" in row.advice and "adjusted" in row.advice
