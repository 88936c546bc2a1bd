"""Every kind of interval holds the truth as often as it says: measured on repeats of known truth.

Each misses at most as often as 5 % allow at a false-alarm rate of 1e-3; one that misses 10 % would be seen
with a probability above 0.95. Those of variances err to the wide side by design: their rank is lowered.
Repeats end when they tell (`sequential.py`).
"""

import numpy as np
import pytest
from sequential import happens_too_often

from widthwise.analysis.ensembling import variance_exponent
from widthwise.analysis.estimate import Estimate
from widthwise.analysis.exponents import fit_exponent
from widthwise.analysis.extrapolate import extrapolate
from widthwise.analysis.fits import combine, fit_power_law, limit_coefficients
from widthwise.analysis.gaps import Products, difference, gap_exponent, gap_interval
from widthwise.analysis.measure import measure_block
from widthwise.analysis.part_theory import PartTheory
from widthwise.analysis.scaling import limiting_variance_ratio, shift_ratios, variance_ratios
from widthwise.analysis.seeds import recentered_interval
from widthwise.analysis.signflip import sign_choices

ALPHA, FALSE_ALARMS = 0.05, 1e-3
WIDTHS = (16, 32, 64, 128)


def products(rng, seeds, *, shift=1.0, spread=1.0, elements=24):
    """Functions shift/N off their limit, with scatter spread/sqrt(N); the direction of the shift is fixed."""
    off = np.cos(np.arange(elements)) * np.sqrt(2)
    rows = [shift * off / n + spread / np.sqrt(n) * rng.standard_normal((seeds, elements)) for n in WIDTHS]
    flat = np.concatenate(rows)
    owner = np.repeat(np.arange(len(WIDTHS)), seeds)
    return Products(WIDTHS, owner, flat @ flat.T / elements), np.sqrt((off**2).mean())


def of_a_gap(rng):
    found, size = products(rng, 12, shift=40.0)
    _, interval = gap_interval(found, difference(4, 0, 1), ALPHA, rng)
    return interval, 40.0 * size * (1 / 16 - 1 / 32)


def of_an_exponent_of_gaps(rng):
    found, _ = products(rng, 48, shift=60.0)
    known = gap_exponent(found, ALPHA, rng)
    assert known is not None
    return known[1], 1.0


def of_an_exponent_of_scales(rng):
    logs = [-0.5 * np.log(n) + 0.3 * rng.standard_normal(6) for n in WIDTHS]
    return fit_exponent(WIDTHS, logs).overall.interval(ALPHA), -0.5


def of_an_exponent_of_variances(rng):
    found, _ = products(rng, 8)
    return variance_exponent(found).overall.interval(ALPHA), 1.0


def of_a_mean(rng):
    values = rng.standard_normal(5)
    return Estimate(values.mean(), values.std(ddof=1) / np.sqrt(5), 4.0).interval(ALPHA), 0.0


def of_a_limit_of_means(rng):
    means = []
    for n in WIDTHS:
        values = 3.0 + 5.0 / n + rng.standard_normal(12)
        means.append(Estimate(values.mean(), values.std(ddof=1) / np.sqrt(12), 11.0))
    coefficients = limit_coefficients(np.array(WIDTHS, dtype=float), np.array(WIDTHS, dtype=float))
    return combine(coefficients, means).interval(ALPHA), 3.0


def of_a_loss_at_infinite_width(rng):
    values = [0.3 + 2.0 / n + 0.004 * rng.standard_normal(40) for n in (8, 16, 32, 64, 128)]
    found = extrapolate((8, 16, 32, 64, 128), values, ALPHA, rng)
    assert found is not None
    return found.limit_interval, 0.3


def of_a_bias(rng):
    """As the bias of narrower width has it, of the resampled means of many seeds."""
    values = rng.standard_normal(60)
    draws = rng.choice(values, size=(1000, 60)).mean(axis=1)
    return recentered_interval(draws, float(values.mean()), ALPHA), 0.0


def of_a_power_law(rng):
    squared = np.array([1.0 / n for n in WIDTHS])
    sample = squared * np.exp(0.1 * rng.standard_normal(4))
    draws = sample * np.exp(0.1 * rng.standard_normal((400, 4)))
    found = fit_power_law(np.array(WIDTHS, dtype=float), sample, draws, ALPHA)
    assert found is not None
    return (found.low, found.high), -0.5


def measured_cells(rng, seeds=16, elements=4):
    """Networks of which theory is right: variance 1/N, shift 1/N, at four widths."""
    ones = np.ones((1, elements))
    theory = PartTheory(
        value=3 * ones, error=0 * ones, variance=ones, variance_error=0 * ones, shift=4 * ones,
        shift_error=0 * ones, rounding=1e-12,
    )  # fmt: skip
    signs = {seeds: sign_choices(seeds, 3, rng)}
    cells = {}
    for n in WIDTHS:
        off = 4 / n + rng.standard_normal((seeds, 1, elements)) / np.sqrt(n)
        weights = theory.matched_filter()
        cells[n] = measure_block(off, n, theory, weights=weights, narrower=None, signs=signs, stride=1)
    return cells, theory


def of_a_shift_at_one_width(rng):
    cells, theory = measured_cells(rng)
    return shift_ratios(cells, theory)[32].interval(ALPHA), 1.0


def of_a_variance_at_one_width(rng):
    cells, theory = measured_cells(rng, seeds=64)
    return variance_ratios(cells, theory)[32].ratio_interval(ALPHA), 1.0


def of_a_variance_at_infinite_width(rng):
    cells, theory = measured_cells(rng, seeds=64)
    limit = limiting_variance_ratio(variance_ratios(cells, theory), theory, cells)
    assert limit is not None
    return limit.interval(ALPHA), 1.0


KINDS = [value for name, value in list(globals().items()) if name.startswith("of_")]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__.removeprefix("of_"))
def test_an_interval_holds_the_truth_as_often_as_it_says(seed, kind):
    rng = np.random.default_rng(seed)

    def misses():
        (low, high), truth = kind(rng)
        return not low <= truth <= high

    assert not happens_too_often(misses, ALPHA, 2 * ALPHA, false_alarm=FALSE_ALARMS)
