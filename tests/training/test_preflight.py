"""What is refused or told before anything is compiled or written."""

from dataclasses import replace

import pytest

from widthwise.errors import InputError
from widthwise.study import (
    DataSettings,
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    Study,
    TrainingSettings,
)
from widthwise.training import train_ensemble
from widthwise.training.plan import plan_training

TEXT = Study(
    name="text",
    data=DataSettings(kind="text", sequence_length=8, train=60, test=60),
    network=NetworkSettings(kind="transformer", base_width=8, heads=2),
    training=TrainingSettings(optimizer="adam", batch=4, steps=400, loss="cross_entropy", reduction="mean"),
    ensemble=EnsembleSettings(widths=(8, 512), seeds=1),
    record=RecordSettings(quantities=("loss", "tangent_kernel")),
)
PERCEPTRONS = replace(
    TEXT,
    data=DataSettings(kind="synthetic", dimension=3, train=4, test=2),
    network=NetworkSettings(),
    training=TrainingSettings(optimizer="sgd", batch=2, steps=9),
    record=RecordSettings(),
)


def test_hours_of_tangent_kernels_of_a_vocabulary_are_told_and_short_ones_are_not():
    plan = plan_training(TEXT)
    said, outputs = plan.preflight(128), len(plan.layout.points.targets[0])
    gradients = 120 * outputs  # of a network small enough for all of a word to be held at once
    assert f"each tangent kernel takes {gradients:,} gradients (120 points, {outputs} outputs)" in said
    assert "at the 21 recorded steps" in said and "lower `record.train_points`" in said
    assert plan.preflight(8) == "" != plan.preflight(512) != said
    without = replace(TEXT, record=RecordSettings(quantities=("loss",)))
    assert plan_training(without).preflight(128) == ""


@pytest.mark.parametrize(
    "study",
    [
        replace(
            PERCEPTRONS,
            ensemble=EnsembleSettings(widths=(4, 2**24), seeds=1),
            network=NetworkSettings(hidden_layers=2),
        ),
        replace(
            PERCEPTRONS,
            ensemble=EnsembleSettings(widths=(4, 2**24), seeds=1),
            network=NetworkSettings(hidden_layers=2),
            training=TrainingSettings(steps=9),
        ),
    ],
    ids=["stream", "full batch"],
)
def test_a_width_that_does_not_fit_is_refused_before_smaller_ones_are_trained(study, tmp_path):
    with pytest.raises(InputError, match=r"one network of width 16777216 .* GB may be used: lower"):
        train_ensemble(study, tmp_path / "records.zarr")
    assert not list(tmp_path.iterdir())


def test_more_records_than_fit_are_refused_before_anything_is_written(tmp_path):
    study = replace(
        PERCEPTRONS,
        data=DataSettings(kind="synthetic", dimension=3, train=400, test=400),
        training=TrainingSettings(optimizer="sgd", batch=2, steps=10**6),
        record=RecordSettings(steps="all", train_points=400),
    )
    with pytest.raises(InputError, match=r"one network at 1,000,000 steps take .* GB, .*record fewer steps"):
        train_ensemble(study, tmp_path / "records.zarr")
    assert not list(tmp_path.iterdir())
