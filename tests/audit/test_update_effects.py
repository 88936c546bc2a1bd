"""What updates do at their tensors' outputs: a law for every optimizer, and what is told of it."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic_records import correct_records

from widthwise.analysis.verdict import INHERITED
from widthwise.audit import AuditSettings, audit
from widthwise.audit.claims.scale_series import windows
from widthwise.audit.ensemble_view import measure
from widthwise.audit.remedies import cause

TENSORS = ("embedding", "block.query", "block.up", "block.up.bias", "readout")
ROLES = ("input", "hidden", "hidden", "input", "readout")
FEEDS = ("network", "attention", "network", "network", "output")


@pytest.fixture
def rng(seed):
    return np.random.default_rng(seed)


def with_effects(rng, powers=None, *, bends=None, seeds=4, roles=ROLES, feeds=FEEDS, noise=0.1):
    """Correct records whose tensors' effects go as N^power, times 1 + bend / sqrt(N) where that is given."""
    records = correct_records(rng, seeds=seeds).drop_vars(["weight_rms", "update_rms", "tensor_role"])
    records = records.drop_dims("tensor", errors="ignore").drop_vars("tensor", errors="ignore")
    width = records["width"].to_numpy().astype(float)[:, None, None, None]
    shape = (len(width), seeds, records.sizes["step"], len(TENSORS))
    power = np.array([(powers or {}).get(name, 0.0) for name in TENSORS])
    bend = np.array([(bends or {}).get(name, 0.0) for name in TENSORS])
    own = np.exp(noise * rng.standard_normal((shape[0], seeds, 1, len(TENSORS))))
    effects = width**power * (1 + bend / np.sqrt(width)) * own * np.exp(0.03 * rng.standard_normal(shape))
    return records.assign(update_effect_rms=(("width", "seed", "step", "tensor"), effects)).assign_coords(
        tensor=list(TENSORS), tensor_role=("tensor", list(roles)), tensor_feeds=("tensor", list(feeds))
    )


def judged(records, **settings):
    found = audit(records, claims=["scales"], settings=AuditSettings(**settings))
    return found, [row for row in found.rows if row.verdict == "inconsistent"]


def test_four_seeds_of_correct_networks_are_consistent(rng):
    found, _ = judged(with_effects(rng))
    assert found.verdict == "consistent"


@pytest.mark.parametrize("power", [1.0, 0.5, -0.5])
def test_a_tensor_that_learns_too_fast_or_slowly_is_named_with_its_remedy(rng, power):
    found, bad = judged(with_effects(rng, {"block.up": power}))
    assert bad[0].where["tensor"] == "block.up"
    assert bad[0].estimate == pytest.approx(power, abs=0.25)
    sentence = found.summary[0]
    assert "Hidden weights (`block.up`)" in sentence and ("divide" in sentence) == (power > 0)
    assert ("the root of width" in sentence) == (abs(power) == 0.5)


def test_queries_and_keys_may_begin_as_random_signs(rng):
    """N^-1/2, by what they feed: the same of another tensor is a fault (above)."""
    assert judged(with_effects(rng, {"block.query": -0.5}))[0].verdict == "consistent"
    assert judged(with_effects(rng, {"block.query": 0.5}))[1][0].where["tensor"] == "block.query"


def test_what_a_table_of_the_network_itself_does_to_its_outputs_begins_as_read_outs_do(rng):
    """Of a `pos_embed` that belongs to no layer the effect is measured behind the read-out."""
    found, _ = judged(with_effects(rng, {"embedding": -0.4}, roles=("", *ROLES[1:])))
    assert found.verdict == "consistent"
    for power, roles, feeds in ((0.5, "", "network"), (-0.5, "", ""), (-0.5, "input", "network")):
        records = with_effects(
            rng, {"embedding": power}, roles=(roles, *ROLES[1:]), feeds=(feeds, *FEEDS[1:])
        )
        assert judged(records)[1][0].where["tensor"] == "embedding"


def test_what_bends_toward_its_law_is_finite_width_however_many_seeds_see_it(rng):
    """1 + 4 / sqrt(N): the exponent is -.2 over all widths, less over the wider ones; 60 seeds know both."""
    records = with_effects(rng, bends={"block.up": 4.0}, seeds=60)
    assert judged(records)[0].verdict == "consistent"


def test_a_small_power_that_persists_is_found(rng):
    """-.28 at every pair of widths, as of a Muon update that is clipped by its norm."""
    _, bad = judged(with_effects(rng, {"block.up": -0.28}, seeds=12, noise=0.05))
    assert bad[0].where["tensor"] == "block.up"


def test_a_factor_of_all_tensors_is_one_row_with_its_cause(rng):
    """Gradients clipped by their global norm under gradient descent: everything is N^-0.35 too slow."""
    records = with_effects(rng, dict.fromkeys(TENSORS, -0.35), noise=0.05)
    width = records["width"].to_numpy().astype(float)[:, None, None]
    shape = (len(width), records.sizes["seed"], records.sizes["step"])
    clip = np.broadcast_to(0.5 * (width / width.min()) ** -0.35, shape) * np.exp(
        0.02 * rng.standard_normal(shape)
    )
    found, bad = judged(records.assign(clip_factor=(("width", "seed", "step"), clip)))
    assert bad[0].where["tensor"] == "all" and "clip" in bad[0].where["rule"]
    assert "clipped" in found.summary[0]
    _, without = judged(records)
    assert without[0].where["rule"] == "schedule, clipping or eps"


def test_what_is_rounding_is_not_judged(rng):
    """A bias whose gradient vanishes, as that of keys, moves by rounding errors of any exponent."""
    records = with_effects(rng, {"block.up.bias": -0.8})
    last = records["tensor"] == "block.up.bias"
    records = records.assign(update_effect_rms=records["update_effect_rms"] * np.where(last, 1e-9, 1.0))
    found, _ = judged(records)
    assert found.verdict == "consistent"
    assert not any(row.where.get("tensor") == "block.up.bias" for row in found.rows)


def test_a_layer_of_fixed_size_inside_may_begin_small(rng):
    """Down to a fixed size and up again: what comes after begins N^-1/2 smaller."""
    roles, feeds = ("input", "readout", "input", "input", "readout"), ("network", "gate", *FEEDS[2:])
    records = with_effects(rng, {"block.up": -0.5}, roles=roles, feeds=feeds)
    assert judged(records)[0].verdict == "consistent"
    wrong = with_effects(rng, {"block.query": 1.0}, roles=roles, feeds=feeds)
    found, bad = judged(wrong)
    assert bad[0].where["tensor"] == "block.query" and "Routers" in found.summary[0]


def test_the_ntk_limit_has_laws_of_its_own(rng):
    """Declared, networks in NTK parametrization are right; taken for muP they are not."""
    powers = {"embedding": -0.5, "block.query": -0.5, "block.up": -0.5, "block.up.bias": -0.5}
    records = with_effects(rng, powers).drop_vars(["forward_rms", "forward_change_rms"])
    assert judged(records)[0].verdict == "inconsistent"
    assert judged(records, limit="ntk")[0].verdict == "consistent"


def test_early_steps_end_at_the_root_of_the_last_one(rng):
    """Steps 0 to 128: until 8 together; later ones as long as losses agree."""
    view = measure(correct_records(rng), 0.05, AuditSettings())
    early, *late = windows(view)
    assert [int(view.steps[p]) for p in early] == [0, 1, 2, 4, 8]
    assert not late or late[0][0] == early[-1] + 1


def test_how_the_few_entries_of_what_does_not_grow_begin_holds_no_verdict_up(rng):
    """Such as the one bias of a read-out that is drawn at random: its size scatters by its own size."""
    records = with_effects(rng, roles=(*ROLES[:3], "scalar", "readout"))
    width = records["width"].to_numpy().astype(float)[:, None, None, None]
    sizes = np.broadcast_to(
        width ** np.array([0, -0.5, -0.5, 0, -1]), records["update_effect_rms"].shape
    ).copy()
    sizes[..., 3] *= np.exp(rng.standard_normal((*sizes.shape[:2], 1)))
    found, _ = judged(records.assign(weight_rms=(("width", "seed", "step", "tensor"), sizes)))
    assert found.verdict == "consistent"
    row = next(row for row in found.rows if row.where.get("quantity") == "weight_rms")
    assert row.where["tensor"] == "block.up.bias" and row.verdict == "open" and row.more_seeds


def test_a_cause_that_only_inherits_is_named_too(rng):
    records = with_effects(rng, {"block.up": 1.0})
    measured = measure(records, 0.05, AuditSettings())
    inherited = [replace(row, depth=INHERITED) for row in judged(records)[1]]
    assert "Hidden weights (`block.up`) learn" in cause(measured, inherited)
