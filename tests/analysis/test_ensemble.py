"""The table of an ensemble: mean and standard deviation over the networks that count."""

import numpy as np
import pytest
import xarray as xr

from widthwise.analysis import ensemble, summarize_ensemble


@pytest.fixture
def records():
    """Of four seeds all count at the first width, two at the second, one and none at the others."""
    values = np.random.default_rng(3).standard_normal((4, 4, 3, 5, 2))
    diverged_at = np.array([[-1] * 4, [-1, 2, -1, 1], [0, 0, -1, 2], [0] * 4])
    return xr.Dataset(
        {
            "prediction": (("width", "seed", "step", "point", "output"), values),
            "loss": (("width", "seed", "step", "split"), values[..., :1, 0] ** 2),
            "diverged_at": (("width", "seed"), diverged_at),
        },
        coords={"width": [2, 4, 8, 16], "seed": np.arange(4), "step": [0, 5, 9]},
    )


@pytest.mark.parametrize("name", ["prediction", "loss"])
def test_mean_and_deviation_are_over_the_seeds_that_count(records, name):
    summary, values = summarize_ensemble(records), records[name].to_numpy()
    assert summary["seeds"].to_numpy().tolist() == [4, 2, 1, 0]
    mean, std = (
        summary[f"{name}_{what}"].transpose("width", *records[name].dims[2:]) for what in ("mean", "std")
    )
    for at, seeds in enumerate(([0, 1, 2, 3], [0, 2], [2], [])):
        expected = np.full((2, *values.shape[2:]), np.nan)
        if seeds:
            expected[0] = sum(values[at, seed] for seed in seeds) / len(seeds)
        if len(seeds) > 1:
            squares = sum((values[at, seed] - expected[0]) ** 2 for seed in seeds)
            expected[1] = np.sqrt(squares / (len(seeds) - 1))
        np.testing.assert_allclose([mean[at], std[at]], expected, rtol=1e-12)


def test_what_would_take_too_much_is_named_in_place_of_a_table(records, monkeypatch):
    monkeypatch.setattr(ensemble, "TABLE_BYTES", 16 * records["loss"].size // 4)
    summary = summarize_ensemble(records)
    assert summary.attrs["left_out"] == ["prediction"]
    assert "loss_mean" in summary and "prediction_mean" not in summary
