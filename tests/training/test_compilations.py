"""What is compiled for an ensemble: one program a width, and none again for another rate or richness."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from widthwise.study import DataSettings, EnsembleSettings, NetworkSettings, RecordSettings, Study
from widthwise.study import TrainingSettings as Training
from widthwise.training import train_ensemble
from widthwise.training.program import Compiler
from widthwise.training.setting_sweep import train_sweep

STUDY = Study(
    name="counted",
    data=DataSettings(train=4, test=2),
    network=NetworkSettings(richness=1.3),
    training=Training(optimizer="adam", batch=2, steps=4, learning_rate=0.01, weight_decay=0.1, clip=1.0),
    ensemble=EnsembleSettings(widths=(6, 9), seeds=3, seeds_per_cell=2),
    record=RecordSettings(quantities=("prediction", "loss", "update_rms"), steps=(0, 3)),
)


@pytest.fixture
def compiled(monkeypatch):
    """Names of all programs that are compiled by name, in order."""
    found, intact = [], jax.stages.Lowered.compile

    def counting(self, *arguments, **options):
        found.append(self.as_text().split("module @", 1)[1].split()[0])
        return intact(self, *arguments, **options)

    monkeypatch.setattr(jax.stages.Lowered, "compile", counting)
    return found


def test_each_width_is_compiled_once_for_all_its_cells(compiled):
    train_ensemble(STUDY)
    assert len(compiled) == 2 * len(STUDY.ensemble.widths), compiled


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("training.learning_rate", [0.01, 0.02, 0.04]),
        ("network.richness", [0.5, 1.0, 2.0]),
        ("training.momentum", [0.5, 0.8]),
        ("training.weight_decay", [0.1, 0.2]),
        ("training.clip", [0.5, 1.0]),
    ],
)
def test_a_sweep_compiles_as_often_as_one_of_its_values(tmp_path, compiled, key, values):
    found = train_sweep(STUDY, key, values, tmp_path)
    assert len(compiled) == 2 * len(STUDY.ensemble.widths), compiled
    assert np.ptp(found["loss"].values, axis=0).max() > 1e-5, "the setting does nothing"


@pytest.mark.parametrize("optimizer", ["gd", "gradient_flow", "momentum", "adamw"])
def test_what_was_compiled_for_other_numbers_gives_the_same_bits(optimizer):
    plain = optimizer in ("gd", "gradient_flow")
    training = Training(optimizer=optimizer, batch=2, steps=4, weight_decay=0.0 if plain else 0.1)
    study, compiler = replace(STUDY, training=training), Compiler()
    other = replace(
        study,
        network=replace(study.network, richness=0.7),
        training=replace(training, learning_rate=0.03),
        ensemble=replace(study.ensemble, seed=5),
    )
    train_ensemble(study, compiler=compiler)
    known = set(compiler.compiled)
    again, fresh = train_ensemble(other, compiler=compiler), train_ensemble(other)
    assert set(compiler.compiled) == known
    for name in study.record.quantities:
        assert again[name].values.tobytes() == fresh[name].values.tobytes(), name
