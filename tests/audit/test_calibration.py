"""False alarms on correct records, and faults found and named, on synthetic ensembles of known laws."""

import numpy as np
import pytest
from scipy import stats
from synthetic_records import FAULTS, correct_records

from widthwise.audit import audit

ALPHA = 0.05


def alarms(seed: int, repeats: int, **shape) -> int:
    rngs = np.random.default_rng(seed).spawn(repeats)
    return sum(audit(correct_records(rng, **shape)).verdict == "inconsistent" for rng in rngs)


@pytest.mark.parametrize("seeds", [3, 6])
def test_correct_records_are_rarely_called_inconsistent(seed, seeds):
    """10 audits; the bound fails with probability 1e-3 if false alarms come at the rate alpha, and would see
    a rate of 75 %. The slow test below is the sharp one."""
    repeats = 10
    bound = stats.binom.isf(1e-3, repeats, ALPHA)
    assert stats.binom.cdf(bound, repeats, 0.75) < 0.05, "too few repeats for this resolution"
    assert alarms(seed, repeats, seeds=seeds) <= bound


@pytest.mark.long
@pytest.mark.parametrize("shape", [{"seeds": 3}, {"seeds": 6}, {"seeds": 8, "widths": (32, 64, 256)}])
def test_rate_of_false_alarms_is_at_most_alpha(seed, shape):
    """200 audits; fails with probability 1e-4 at the rate alpha; sees a rate of 16 %."""
    repeats = 200
    bound = stats.binom.isf(1e-4, repeats, ALPHA)
    assert stats.binom.cdf(bound, repeats, 0.16) < 0.1, "too few repeats for this resolution"
    assert alarms(seed, repeats, **shape) <= bound


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_found_and_named(seed, name):
    """4 audits each: all must find it and name it; a rate of 50 % passes with probability 1/16."""
    spoil, (key, values) = FAULTS[name]
    values, repeats, named = (values,) if isinstance(values, str) else values, 4, 0
    for rng in np.random.default_rng(seed).spawn(repeats):
        found = audit(spoil(correct_records(rng)))
        assert found.verdict == "inconsistent"
        named += found.rows[0].where.get(key) in values
    assert named == repeats


def test_resolution_is_that_of_the_test(seed):
    """Above the tolerance and below a fault's 1/2."""
    rng = np.random.default_rng(seed)
    rows = audit(correct_records(rng)).rows
    row = next(
        r for r in rows if r.where.get("tensor") == "embedding" and r.where["quantity"] == "update_rms"
    )
    assert row.verdict == "consistent"
    assert row.resolution is not None and 0.2 < row.resolution < 0.5


def test_a_bend_of_finite_width_is_no_inconsistency(seed):
    """Scales off by 5/N: 30 % at the narrowest width."""
    records = correct_records(np.random.default_rng(seed))
    for name in ("update_rms", "forward_rms", "forward_change_rms"):
        records[name] = records[name] * (1 + 5 / records["width"])
    assert audit(records, claims=["scales"]).verdict == "consistent"


def test_gaps_that_fall_as_one_over_width_are_no_inconsistency(seed):
    """Resolved a hundred times over: means off by 40/N."""
    records = correct_records(np.random.default_rng(seed))
    pattern = np.random.default_rng(seed + 1).standard_normal((9, 12, 1))
    records["prediction"] = records["prediction"] + 40 / records["width"] * xr_like(records, pattern)
    found = audit(records, claims=["predictions"])
    assert found.verdict == "consistent"
    tests = [row for row in found.rows if row.judges]
    assert tests and all(row.estimate == pytest.approx(1.0, abs=0.1) for row in tests)
    assert all(row.interval[0] < 1.1 and row.interval[1] > 0.9 for row in tests)


def test_means_that_do_not_converge_are_inconsistent(seed):
    """Each doubling of the width moves the mean by as much: a logarithm of the width."""
    records = correct_records(np.random.default_rng(seed))
    pattern = np.random.default_rng(seed + 1).standard_normal((9, 12, 1))
    records["prediction"] = records["prediction"] + 4 * np.log2(records["width"] / 128) * xr_like(
        records, pattern
    )
    found = audit(records, claims=["predictions"])
    assert found.verdict == "inconsistent"
    assert found.rows[0].estimate == pytest.approx(0.0, abs=0.2)


def xr_like(records, pattern):
    return records["prediction"].isel(width=0, seed=0, drop=True) * 0 + pattern
