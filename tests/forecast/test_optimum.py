"""The drift of an optimum: known drifts, coverage, verdicts."""

import numpy as np
import pytest
from width_families import rate_sweep

from widthwise.errors import InputError
from widthwise.forecast.optimum import optimum_drift


def test_a_known_drift_and_regret_are_found_without_noise():
    found = optimum_drift(rate_sweep(np.random.default_rng(0), drift=3.0, noise=0.0), target=1024)
    assert abs(found["drift"] - 3.0) < 0.01 and abs(found["infinite"] - 0.1) < 1e-3
    best, narrow = 0.1 + 3 / 1024, 0.1 + 3 / 32
    assert abs(found["target_optimum"] - best) < 1e-3
    assert abs(found["regret"] / (0.05 * np.log(narrow / best) ** 2) - 1) < 0.05
    assert found["verdict"] == "drifts" and not any(found["at_end"])


def test_the_interval_of_the_drift_holds_it_as_often_as_it_says(seed):
    """95 % nominal; between 178 and 199 of 200 has a false-alarm rate below 1e-3."""
    rng = np.random.default_rng(seed)
    held = 0
    for _ in range(200):
        found = optimum_drift(rate_sweep(rng), target=1024)
        held += found["drift_low"] <= 3.0 <= found["drift_high"]
    assert 178 <= held <= 199


def test_an_optimum_that_stays_transfers_and_one_that_falls_as_1_over_N_drifts():
    stays = optimum_drift(rate_sweep(np.random.default_rng(1), drift=0.0, noise=1e-3), target=1024)
    assert stays["verdict"] == "transfers" and stays["regret_high"] <= 0.005
    falls = optimum_drift(
        rate_sweep(np.random.default_rng(1), drift=8.0, limit=0.01, noise=1e-3), target=1024
    )
    assert falls["verdict"] == "drifts" and "tune at wider networks" in falls["advice"]


def test_an_optimum_at_the_ends_is_undecided_and_asks_for_further_values():
    sweep = rate_sweep(np.random.default_rng(1)).isel(value=slice(0, 3))
    found = optimum_drift(sweep, target=1024)
    assert found["verdict"] == "undecided" and "try values beyond the ends at 32, 64" in found["advice"]


def test_values_that_make_no_sweep_are_refused():
    with pytest.raises(InputError, match="three or more"):
        optimum_drift(rate_sweep(np.random.default_rng(0)).isel(value=[0, 1]), target=1024)
