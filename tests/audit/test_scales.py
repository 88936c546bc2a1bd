"""Which of the scales that are off is a fault of its tensor, and which follows from another's."""

import numpy as np
from synthetic_records import correct_records, embedding_rate, readout_too_large

from widthwise.analysis.verdict import INHERITED, OWN
from widthwise.audit import audit


def depths(records, quantity):
    """Of tensors whose scale of this quantity is off."""
    rows = [r for r in audit(records, claims=["scales"]).rows if r.verdict == "inconsistent"]
    return {r.where["tensor"]: r.depth for r in rows if r.where.get("quantity") == quantity}


def test_updates_that_an_initial_scale_explains_are_inherited(seed):
    """A read-out N^1/2 too large makes every gradient below it too large by as much."""
    records = readout_too_large(correct_records(np.random.default_rng(seed)))
    assert depths(records, "weight_rms") == {"readout": OWN}
    found = depths(records, "update_rms")
    assert {"embedding", "block.query", "block.up"} <= found.keys()
    assert set(found.values()) == {INHERITED}


def test_an_update_that_no_initial_scale_explains_is_its_tensors_own(seed):
    records = correct_records(np.random.default_rng(seed))
    assert depths(embedding_rate(records), "update_rms") == {"embedding": OWN}
    both = embedding_rate(embedding_rate(readout_too_large(records)))
    found = depths(both, "update_rms")
    assert found.pop("embedding") == OWN and set(found.values()) == {INHERITED}
