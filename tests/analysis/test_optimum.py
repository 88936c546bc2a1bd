"""The best value of a sweep: known minima, divergence, and the interval's coverage."""

import numpy as np
import pytest
import xarray as xr

from widthwise.analysis.optimum import find_optimum, largest_stable
from widthwise.errors import InputError

VALUES = 2.0 ** np.arange(-4, 4)


def sweep(optima, noise=0.0, seeds=8, rng=None):
    """Parabolas in the logarithm of the value, one a width, with a noise of seeds common to all values."""
    rng = rng or np.random.default_rng(0)
    loss = 1.0 + 0.1 * (np.log(VALUES)[:, None, None] - np.log(optima)[None, :, None]) ** 2
    loss = loss + noise * rng.standard_normal((len(VALUES), len(optima), seeds))
    coords = {"value": VALUES, "width": 2 ** np.arange(len(optima))}
    return xr.Dataset({"loss": (("value", "width", "seed"), loss)}, coords=coords)


def test_the_minimum_of_a_parabola_is_found_between_the_values():
    found = find_optimum(sweep([0.3, 1.0, 2.7]))
    np.testing.assert_allclose(found["optimum"], [0.3, 1.0, 2.7], rtol=1e-9)
    np.testing.assert_allclose(found["best"], [0.25, 1.0, 2.0])
    assert not found["at_end"].any()


def test_a_minimum_beyond_the_values_is_reported_at_the_end():
    found = find_optimum(sweep([0.01]))
    assert found["at_end"].all() and found["best"].item() == VALUES[0]


def test_a_diverged_network_rules_its_value_out():
    data = sweep([1.0])
    data["loss"][4:, :, 0] = np.nan  # the values from 1 on
    assert find_optimum(data)["best"].item() == 0.5


def test_a_width_that_diverged_at_every_value_has_no_best_one():
    data = sweep([1.0, 1.0])
    data["loss"][:, 1, 3] = np.nan
    found = find_optimum(data)
    assert found["best"][0] == 1.0 and found["best"].isel(width=1).isnull() and not found["at_end"][1]
    assert all(found[name].isel(width=1).isnull() for name in ("optimum", "optimum_low", "optimum_high"))


def test_the_interval_holds_the_optimum_as_often_as_it_says():
    """95 % nominal; 200 sweeps, so that between 88 % and 99.5 % has a false-alarm rate below 1e-3."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        found = find_optimum(sweep([0.8], noise=0.02, seeds=16, rng=rng))
        hits += int(found["optimum_low"].item() <= 0.8 <= found["optimum_high"].item())
    assert 0.86 <= hits / 200 <= 0.995


@pytest.mark.parametrize("values", [[1.0, 2.0], [0.0, 1.0, 2.0], [1.0, 3.0, 2.0]])
def test_values_that_make_no_sweep_are_refused(values):
    data = xr.Dataset({"loss": (("value", "width", "seed"), np.ones((len(values), 1, 2)))})
    with pytest.raises(InputError, match="three or more"):
        find_optimum(data.assign_coords(value=values, width=[1]))


def test_the_largest_stable_rate_has_no_unstable_one_below():
    """A network whose loss is lost, or ends above its first one, makes its rate and larger ones unstable."""
    data = sweep([1.0, 1.0, 1.0, 1.0])
    data["initial_loss"] = xr.full_like(data["loss"], 10.0)
    data["loss"][5, 1, 3] = np.nan
    data["loss"][3, 2, 0] = 10.5
    data["loss"][0, 3] = np.nan
    found = largest_stable(data)
    np.testing.assert_array_equal(found, [VALUES[-1], VALUES[4], VALUES[2], np.nan])
    assert found.dims == ("width",)
