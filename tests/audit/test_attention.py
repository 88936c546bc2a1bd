"""What the audit says of attention heads."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats
from synthetic_records import WIDTHS, correct_records, softmax

from widthwise.audit import audit

KEYS = 6


def attention_records(rng, *, spread=lambda width: 1.0, own=0.5, seeds=6, heads=4):
    """Logits of heads with parts that they share, in another order for each network, and random signs: their
    mean over heads vanishes; `spread` of a width scales them."""
    parts = rng.standard_normal((heads // 2, KEYS, KEYS))
    parts = np.concatenate([parts, -parts])
    attention = np.zeros((len(WIDTHS), seeds, 3, 1, heads, KEYS, KEYS))
    for index, width in enumerate(WIDTHS):
        for seed in range(seeds):
            noise = own * rng.standard_normal(parts.shape) / np.sqrt(width)
            logits = spread(width) * (parts + noise)[rng.permutation(heads)]
            for step in range(3):
                attention[index, seed, step, 0] = softmax(0.01 * noise if step == 0 else logits)
    run = ("width", "seed", "step")
    loss = 1 + 0.01 * rng.standard_normal((len(WIDTHS), seeds, 3)) / np.sqrt(np.array(WIDTHS))[:, None, None]
    return xr.Dataset(
        {"attention": ((*run, "block", "head", "query", "key"), attention), "loss": (run, loss)},
        coords={"width": list(WIDTHS), "seed": np.arange(seeds), "step": [0, 1, 2]},
    )


def rows_of(records, quantity):
    rows = audit(records, claims=["attention"]).rows
    return [row for row in rows if row.where.get("quantity") == quantity]


def test_heads_of_one_law_match_whatever_their_order(seed):
    """Matched heads are as far apart as two seeds of one width, which is next to nothing beside heads that
    are not matched."""
    records = attention_records(np.random.default_rng(seed), own=0.2)
    found = rows_of(records, "matched heads")
    assert [row.where["width"] for row in found] and {row.where["against"] for row in found} == {128}
    for row in found:
        assert row.p_value is None and row.verdict == "consistent", "a description judges nothing"
        assert row.estimate == pytest.approx(row.expected, rel=0.5)
    first, second = records["attention"].to_numpy()[-1, :2, -1, 0]
    middle = (first + second) / 2
    unmatched = (stats.entropy(first, middle, axis=-1) + stats.entropy(second, middle, axis=-1)).mean() / 2
    assert max(row.estimate for row in found) < unmatched / 10


def test_heads_that_sharpen_with_the_width_are_seen_by_their_entropy_alone(seed):
    """Their signs cancel in the mean over heads; 5 ensembles, all found; 5 of constant sharpness, none."""
    for rng in np.random.default_rng(seed).spawn(5):
        (row,) = rows_of(attention_records(rng, spread=lambda width: width / 64), "entropy of rows")
        assert row.verdict == "inconsistent" and row.where["block"] == "1"
        assert "entropies of attention" in row.advice
        (row,) = rows_of(attention_records(rng), "entropy of rows")
        assert row.verdict == "consistent"


def test_entropies_of_an_adapter_are_used_where_there_are_no_weights(seed):
    rng = np.random.default_rng(seed)
    records = attention_records(rng)
    entropies = xr.DataArray(
        stats.entropy(records["attention"].to_numpy(), axis=-1).mean(axis=-1),
        dims=("width", "seed", "step", "block", "head"),
    )
    kept = records.drop_vars("attention").assign(attention_entropy=entropies)
    (row,) = audit(kept, claims=["attention"]).rows
    assert row.verdict == "consistent" and row.where["quantity"] == "entropy of rows"
    growing = kept.assign(attention_entropy=entropies * np.log2(records["width"] / 8))
    (row,) = audit(growing, claims=["attention"]).rows
    assert row.verdict == "inconsistent"


def test_sharp_attention_is_no_mask(seed):
    """Keys that a trained head gives zero in single precision still count among those it may attend to."""
    rng = np.random.default_rng(seed)
    sharp = attention_records(rng, spread=lambda width: 400.0)
    assert (sharp["attention"].astype("float32") == 0).any()
    (row,) = rows_of(sharp.astype("float32"), "entropy of rows")
    assert row.verdict == "consistent"


@pytest.mark.parametrize("broken", [np.nan, 0.0])
def test_attention_without_numbers_is_no_traceback(seed, broken):
    records = correct_records(np.random.default_rng(seed))
    records["attention"] = records["attention"] * 0 + broken
    found = audit(records, claims=["attention"])
    assert found.verdict != "inconsistent"
