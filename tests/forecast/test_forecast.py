"""Forecasts against known laws: limits, coverage, and what must not be trusted."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from width_families import BROKEN, CORRECT, family

import widthwise as ww
from widthwise.errors import InputError


def power_law(widths=(64, 128, 256, 512), seeds=4, noise=1e-4, exponent=0.7, rng=None, steps=40):
    """1 + 0.5 t^-1/2 + 0.3 (N/64)^-a, with white noise over seeds and steps."""
    rng = rng or np.random.default_rng(0)
    step = np.unique(np.rint(np.geomspace(1, 10_000, steps)).astype(int))
    n = np.array(widths)[:, None, None] / 64
    losses = (
        1 + 0.5 * step**-0.5 + 0.3 * n**-exponent + noise * rng.standard_normal((len(n), seeds, len(step)))
    )
    coords = {"width": list(widths), "seed": np.arange(seeds), "step": step}
    return xr.Dataset({"loss": (("width", "seed", "step"), losses)}, coords=coords)


def test_a_power_law_is_foretold_to_a_part_of_its_gap():
    found = ww.forecast(power_law(), widths=[1024, 2048])
    assert found.attrs["verdict"] == "held"
    for width in (1024, 2048):
        truth = 1 + 0.5 * found["step"] ** -0.5 + 0.3 * (width / 64) ** -0.7
        one = found.sel(width=width)
        inside = (one["loss_low"] <= truth) & (truth <= one["loss_high"])
        assert inside.mean() > 0.9
        assert float(abs(one["loss"] - truth)[-10:].max()) < 0.1 * 0.3 * (512 / 64) ** -0.7
    limit = 1 + 0.5 * found["step"] ** -0.5
    assert ((found["loss_inf_low"] <= limit) & (limit <= found["loss_inf_high"])).mean() > 0.9
    gap = found["gap"].sel(trained_width=64)[-1]
    assert abs(float(gap) / 0.3 - 1) < 0.1


def test_another_number_than_the_loss_is_foretold_the_same():
    records = power_law()
    records["accuracy"] = 2 - records["loss"]
    one, other = (ww.forecast(records, widths=[1024], variable=name) for name in ("loss", "accuracy"))
    # An accuracy rises with width, which of a loss would be a fault.
    np.testing.assert_allclose(2 - other["loss"], one["loss"], rtol=1e-6)
    np.testing.assert_allclose(2 - other["loss_high"], one["loss_low"], rtol=1e-6)
    assert other.attrs["verdict"] == "held"


@pytest.mark.slow
def test_intervals_hold_what_they_should_on_families_of_laws(seed):
    """Nominal 95 %; the last step of 28 families with known laws, most of which are no power laws: 21 or
    fewer would be held by chance once in two thousand times."""
    held = []
    for repeat in range(4):
        for number, kind in enumerate(CORRECT):
            one = family(kind, np.random.default_rng([seed, repeat, number]))
            found = ww.forecast(one.records(), widths=[int(one.widths[-2])]).isel(width=0, step=-1)
            measured = one.losses[-2, :, -1].mean()
            held.append(bool(found["loss_low"] <= measured <= found["loss_high"]))
    assert stats.binom.cdf(21, len(held), 0.95) < 5e-4
    assert sum(held) > 21


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_scaled_wrongly_is_not_trusted(kind, seed):
    verdicts = []
    for repeat in range(3):
        one = family(kind, np.random.default_rng([seed, repeat]))
        verdicts.append(ww.forecast(one.records(), widths=[int(one.widths[-1])]).attrs["verdict"])
    assert verdicts.count("held") <= 1


def test_where_widths_agree_within_noise_the_interval_is_as_broad_as_it():
    records = power_law(noise=0.01)
    records["loss"] = records["loss"] - 0.3 * (records["width"] / 64) ** -0.7
    found = ww.forecast(records, widths=[2048])
    half = ((found["loss_high"] - found["loss_low"]) / 2).isel(width=0)
    # The mean of four seeds alone has 0.01 / 2, fourfold farther than the mean of all of them.
    assert float(half.min()) > 1.5 * 0.005


def test_one_seed_a_width_is_enough_where_there_are_five():
    found = ww.forecast(power_law((64, 128, 256, 512, 1024), seeds=1), widths=[2048])
    truth = 1 + 0.5 * found["step"] ** -0.5 + 0.3 * (2048 / 64) ** -0.7
    one = found.isel(width=0)
    assert ((one["loss_low"] <= truth) & (truth <= one["loss_high"])).mean() > 0.9
    assert found.attrs["verdict"] == "held"
    few = ww.forecast(power_law(seeds=1), widths=[1024])
    assert few.attrs["verdict"] == "too little data" and "needs 5" in few.attrs["why"]
    assert np.isnan(few["loss"]).all()


def test_further_seeds_and_wider_networks_narrow_the_interval():
    narrow = [ww.forecast(power_law(seeds=seeds, noise=0.003), widths=[4096]) for seeds in (2, 16)]
    wide = ww.forecast(power_law((64, 128, 256, 512, 1024, 2048), seeds=2, noise=0.003), widths=[4096])
    few, many, more = (
        float((each["loss_high"] - each["loss_low"]).isel(width=0)[-5:].mean()) for each in (*narrow, wide)
    )
    assert many < 0.7 * few and more < 0.7 * few


def test_advice_names_widths_and_what_would_decide():
    sure = ww.forecast(power_law(), widths=[1024]).attrs["advice"]
    assert "Use widths up to 256 and 4 seeds" in sure and "is bias" in sure
    unsure = ww.forecast(power_law(noise=0.02, seeds=2), widths=[2048], tolerance=0.002).attrs["advice"]
    assert "at the end" in unsure


@pytest.mark.parametrize("widths", [[], [0], [2**41]])
def test_widths_that_are_none_are_refused(widths):
    with pytest.raises(InputError, match="give whole numbers from 1 on"):
        ww.forecast(power_law(), widths=widths)


def test_records_without_the_variable_are_refused():
    with pytest.raises(InputError, match="no `accuracy`: they have loss"):
        ww.forecast(power_law(), widths=[1024], variable="accuracy")
    with pytest.raises(InputError, match="tolerance"):
        ww.forecast(power_law(), widths=[1024], tolerance=0.0)
