"""Activations and their changes at growing width, by architecture: level in muP, not in standard."""

import numpy as np
import pytest

from widthwise.study import (
    DataSettings,
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    Study,
    TrainingSettings,
)
from widthwise.training import train_ensemble

WIDTHS, SEEDS = (32, 64, 128, 256), 4
# Finite width bends exponents of these widths by up to 0.06; a wrong power of the width by a quarter or more.
TOLERANCE, WRONG = 0.12, 0.25
IMAGES = DataSettings(kind="digits", classes=tuple(range(10)), train=64, test=16)
TEXT = DataSettings(kind="text", train=128, test=4, sequence_length=16, vocabulary=64)
COMMON = {"base_width": 32, "activation": "relu", "activation_gain": 2**0.5}
KINDS = {
    "cnn": (IMAGES, {"hidden_layers": 3}),
    "resnet": (IMAGES, {"blocks": (1, 1)}),
    "transformer": (TEXT, {"hidden_layers": 1, "heads": 4}),
}
RATES = {("cnn", "sgd"): 0.02, ("resnet", "sgd"): 0.02, ("transformer", "sgd"): 0.05}


def largest_exponent(kind, optimizer, parametrization):
    """Over layers, of preactivations and of their changes, at the first and at the last step."""
    data, settings = KINDS[kind]
    study = Study(
        name="coordinates",
        data=data,
        network=NetworkSettings(kind=kind, parametrization=parametrization, **settings, **COMMON),
        training=TrainingSettings(
            optimizer=optimizer,
            learning_rate=RATES.get((kind, optimizer), 0.001),
            batch=8,
            steps=4,
            loss="cross_entropy",
            reduction="mean",
        ),
        ensemble=EnsembleSettings(widths=WIDTHS, seeds=SEEDS),
        record=RecordSettings(
            steps=(0, 1, 3), quantities=("loss", "forward_rms", "forward_change_rms"), train_points=16
        ),
    )
    records = train_ensemble(study)
    x = np.log(WIDTHS) - np.mean(np.log(WIDTHS))
    found = []
    for name, step in (
        ("forward_rms", 0),
        ("forward_rms", 2),
        ("forward_change_rms", 1),
        ("forward_change_rms", 2),
    ):
        values = np.log(records[name].isel(step=step).mean("seed").transpose("width", "layer").to_numpy())
        found.append(np.abs(x @ values / (x @ x)).max())
    return max(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "optimizer"),
    [
        ("cnn", "adam"),
        pytest.param("resnet", "sgd", marks=pytest.mark.long),
        pytest.param("transformer", "adam", marks=pytest.mark.long),
    ],
)
def test_activations_and_their_changes_do_not_depend_on_width(kind, optimizer):
    assert largest_exponent(kind, optimizer, "mean_field") < TOLERANCE


@pytest.mark.slow
def test_in_standard_parametrization_they_do():
    assert largest_exponent("transformer", "adam", "standard") > WRONG
