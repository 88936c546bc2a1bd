"""Small ensembles that forecasts are tried on: an easy and a hard task, scaled rightly and wrongly."""

from dataclasses import replace
from pathlib import Path

import xarray as xr

import widthwise as ww

WIDTHS, SEEDS, STEPS = (16, 32, 64, 128, 256, 512), 8, 1500
TASKS = {"easy": ("single_index", 10, 0.05), "hard": ("fourier", 4, 0.1)}
SCALINGS = ("mean_field", "ntk", "standard", "schedule")


def train(task: str, scaling: str, folder: Path) -> xr.Dataset:
    """Two-layer ReLU perceptrons trained online; under "schedule" the rate falls as N^-1/2 on top of muP."""
    if scaling != "schedule":
        study = study_of(task, scaling, WIDTHS)
        return ww.train_ensemble(study, folder / study.name / "records.zarr")[["loss", "done"]]
    found = []
    for width in WIDTHS:
        study = study_of(task, "mean_field", (width,))
        rate = study.training.learning_rate * (WIDTHS[0] / width) ** 0.5
        study = replace(
            study, name=f"{task}_schedule_{width}", training=replace(study.training, learning_rate=rate)
        )
        found.append(ww.train_ensemble(study, folder / study.name / "records.zarr")[["loss", "done"]].load())
    return xr.concat(found, "width")


def study_of(task: str, scaling: str, widths: tuple[int, ...]) -> ww.Study:
    """A task at some widths."""
    name, dimension, rate = TASKS[task]
    steps = sorted({0, *(round(10 ** (k / 8)) for k in range(26)), STEPS - 1})
    return ww.Study(
        name=f"{task}_{scaling}",
        data=ww.DataSettings(
            kind="synthetic", task=name, dimension=dimension, order="online", train=512, test=512
        ),
        network=ww.NetworkSettings(
            hidden_layers=2, activation="relu", base_width=16, parametrization=scaling
        ),
        training=ww.TrainingSettings(
            optimizer="sgd", learning_rate=rate, batch=64, steps=STEPS, reduction="mean"
        ),
        ensemble=ww.EnsembleSettings(widths=widths, seeds=SEEDS),
        record=ww.RecordSettings(steps=tuple(s for s in steps if s < STEPS), quantities=("loss",)),
    )
