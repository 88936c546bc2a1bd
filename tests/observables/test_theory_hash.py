"""A theory is solved again for what it reads, and for nothing else."""

from dataclasses import replace

import numpy as np
import pytest

import widthwise as ww
from widthwise.observables import theory_hash

POINTS = ww.Points(np.eye(3), np.array([[1.0], [-1.0], [1.0]]), 2)
STUDY = ww.Study(name="hashed", training=ww.TrainingSettings(steps=9))


def changed(table, **settings):
    return replace(STUDY, **{table: replace(getattr(STUDY, table), **settings)})


UNREAD = {
    "name": replace(STUDY, name="other"),
    "modes": changed("record", modes=3),
    "quantities": changed("record", quantities=("prediction",)),
    "parameters": changed("record", parameters="final"),
    "train_points": changed("record", train_points=3),
    "all steps, listed": changed("record", steps=tuple(range(9))),
    "batch": changed("training", batch=3),
    "substeps of no flow": changed("training", substeps=7),
    "base_width": changed("network", base_width=32),
    "widths": changed("ensemble", widths=(8, 16)),
    "where points are from": changed("data", classes=(1, 2)),
}
READ = {
    "steps": changed("training", steps=8),
    "recorded steps": changed("record", steps=(0, 8)),
    "learning_rate": changed("training", learning_rate=0.2),
    "flow": changed("training", optimizer="gradient_flow"),
    "rule": changed("training", learning_rule="feedback_alignment"),
    "reduction": changed("training", reduction="mean"),
    "richness": changed("network", richness=2.0),
    "depth": changed("network", hidden_layers=2),
    "gain": changed("network", activation_gain=2.0),
    "centered": changed("network", centered=False),
    "observables": changed("theory", observables=("loss",)),
    "seed": changed("theory", seed=3),
}


@pytest.mark.parametrize("what", UNREAD)
def test_what_theory_does_not_read_keeps_it(what):
    assert theory_hash(UNREAD[what], POINTS) == theory_hash(STUDY, POINTS)


@pytest.mark.parametrize("what", READ)
def test_what_theory_reads_forces_a_new_one(what):
    assert theory_hash(READ[what], POINTS) != theory_hash(STUDY, POINTS)


def test_other_points_force_a_new_one_and_so_do_substeps_of_a_flow():
    moved = ww.Points(2 * POINTS.inputs, POINTS.targets, 2)
    assert theory_hash(STUDY, moved) != theory_hash(STUDY, POINTS)
    flows = [changed("training", optimizer="gradient_flow", substeps=count) for count in (2, 4)]
    assert theory_hash(flows[0], POINTS) != theory_hash(flows[1], POINTS)
