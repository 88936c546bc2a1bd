"""What training was set to do: every check passes what is the same and names what is not."""

import json

import numpy as np
import pytest
import xarray as xr

import widthwise as ww
from widthwise.audit import audit

WIDTHS, SEEDS, STEPS = (32, 64, 128, 256), 2, (0, 1, 2, 4, 8)
RUN = ("width", "seed", "step")


def recorded(**changed):
    """Records of networks that were all set up alike but for what `changed` replaces."""
    shape = (len(WIDTHS), SEEDS, len(STEPS))
    width = np.array(WIDTHS, dtype=float)[:, None, None]
    step = np.array(STEPS, dtype=float)

    def tensors(values):
        return np.broadcast_to(np.asarray(values, dtype=float)[..., None], (*shape, 2)).copy()

    warm = np.broadcast_to(np.minimum(1.0, (step + 1) / 3), shape)
    rates = tensors(warm) * np.stack([0 * width + 1, 32 / width], axis=-1)
    arrays = {
        "batch_size": np.full(shape, 16.0),
        "batch_hash": np.broadcast_to(1000.0 + step, shape),
        "dropout_rate": np.full(shape, 0.1),
        "learning_rate": rates,
        "weight_decay": 0.1 / np.where(rates > 0, rates, 1.0) * tensors(warm),
        "optimizer_hash": tensors(np.full(shape, 7.0)),
        "momentum": tensors(np.full(shape, 0.9)),
        "epsilon_share": tensors(np.full(shape, 0.02)),
        "weight_bits": tensors(np.full(shape, 24.0)),
        "unmoved_share": tensors(np.zeros(shape)),
        "loss": np.broadcast_to(np.exp(-0.1 * step), shape) * (1 + 1e-3 * np.arange(SEEDS)[:, None]),
    } | {name: make(shape, width, step, tensors) for name, make in changed.items()}
    variables = {
        name: (RUN if np.ndim(values) == 3 else (*RUN, "tensor"), np.array(values))
        for name, values in arrays.items()
    }
    coordinates = {"width": list(WIDTHS), "step": list(STEPS), "tensor": ["first", "hidden"]}
    return xr.Dataset(variables, coordinates)


def rows_of(records):
    found = audit(records, claims=["training_setup"])
    return found.verdict, {row.where["check"]: row for row in found.rows}


def test_what_is_the_same_at_every_width_passes():
    """Rates that differ by a factor, and decay that compensates it, are no difference."""
    verdict, rows = rows_of(recorded())
    assert verdict == "consistent"
    assert {*rows} == {
        "batch size", "batches", "dropout", "schedule", "optimizer", "weight decay", "epsilon", "precision",
    }  # fmt: skip


def halves(shape, width, step, tensors):
    return tensors(np.full(shape, 8.0))


FAULTS = {
    "batch size": {"batch_size": lambda s, w, t, of: np.broadcast_to(w / 2, s)},
    "batches": {"batch_hash": lambda s, w, t, of: np.broadcast_to(w + t, s)},
    "dropout": {"dropout_rate": lambda s, w, t, of: np.broadcast_to(np.where(t > 1, w / 1000, 0.1), s)},
    "schedule": {
        "learning_rate": lambda s, w, t, of: of(np.minimum(1.0, 32 * (t + 1) / (5 * w))),
        "weight_decay": lambda s, w, t, of: of(np.zeros(s)),
    },
    "optimizer": {"momentum": lambda s, w, t, of: of(np.broadcast_to(1 - 3.2 / w, s))},
    "weight decay": {"weight_decay": lambda s, w, t, of: of(np.broadcast_to(w / 320, s))},
    "epsilon": {"epsilon_share": lambda s, w, t, of: of(np.broadcast_to(0.2 * np.log2(w / 16), s))},
    "precision": {
        "weight_bits": halves,
        "unmoved_share": lambda s, w, t, of: of(np.broadcast_to(w / 512, s)),
    },
}


@pytest.mark.parametrize("check", FAULTS)
def test_what_depends_on_the_width_is_named(check):
    verdict, rows = rows_of(recorded(**FAULTS[check]))
    assert verdict == "inconsistent"
    assert [name for name, row in rows.items() if row.verdict == "inconsistent"] == [check]
    assert rows[check].advice


def test_batches_of_their_own_are_told_and_no_fault():
    """Every network draws its batches itself: widths differ by chance only."""
    own = recorded(batch_hash=lambda s, w, t, of: np.arange(np.prod(s), dtype=float).reshape(s))
    verdict, rows = rows_of(own)
    assert verdict == "consistent" and "of its own" in rows["batches"].advice


def test_half_precision_that_loses_nothing_passes():
    assert rows_of(recorded(weight_bits=halves))[0] == "consistent"


def test_decay_that_falls_with_the_width_passes():
    """It acts less on wide networks, and none of their weights vanish for it."""
    verdict, _ = rows_of(recorded(weight_decay=lambda s, w, t, of: of(np.broadcast_to(1.0 / w, s))))
    assert verdict == "consistent"


def test_networks_that_died_compare_no_steps():
    records = recorded()
    records["loss"][0, :, 3:] = np.nan
    records["batch_size"][0, :, 3:] = np.nan
    assert rows_of(records)[0] == "consistent"


def test_records_of_a_study_say_that_their_set_up_is_one():
    """The engine trains all widths alike: described, so that losses alone do not pass for a tested set-up."""
    study = ww.Study(name="alike")
    bare = recorded()[["loss"]].assign_attrs(study=json.dumps(study.tables()))
    found = audit(bare)
    assert "training_setup" not in {each.claim for each in found.untested}
    (row,) = (row for row in found.rows if row.claim == "training_setup")
    assert not row.judges and "the same batches, optimizer" in row.advice
    without = audit(bare.drop_attrs())
    assert "training_setup" in {each.claim for each in without.untested}
    assert found.verdict == without.verdict
