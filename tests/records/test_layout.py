"""The plan of a store, and what a store made by it gives back."""

import math

import numpy as np
import pytest

from widthwise.data import Points
from widthwise.records import Layout, open_records, open_store
from widthwise.study import EnsembleSettings, RecordSettings, Study, TrainingSettings

BOUND = 64 * 2**20  # bytes of a chunk of more than one step


def layout_of(points, steps, **labels):
    study = Study(
        name="small",
        training=TrainingSettings(steps=steps),
        ensemble=EnsembleSettings(widths=(4,), seeds=2),
        record=RecordSettings(steps=tuple(range(steps)), quantities=("loss", "feature_kernel")),
    )
    return Layout(study, Points(np.ones((points, 2)), np.ones((points, 1)), train=points), labels)


@pytest.mark.parametrize("names", [("only",), ("first", "the second")])
def test_names_of_tensors_come_back_as_texts(tmp_path, names):
    with open_store(tmp_path / "a.zarr", layout_of(3, 2, tensor=names)):
        pass
    assert tuple(open_records(tmp_path / "a.zarr")["tensor"].to_numpy()) == names


@pytest.mark.parametrize(("points", "steps"), [(128, 700), (100, 1200), (3, 2)])
def test_a_chunk_is_as_many_steps_as_the_bound_allows(points, steps):
    plan = layout_of(points, steps).arrays()["feature_kernel"]
    of = dict(zip(plan.dims, plan.chunks, strict=True))
    size = math.prod(plan.chunks) * np.dtype(plan.dtype).itemsize
    assert size <= BOUND
    assert of["step"] == steps or size + size // of["step"] > BOUND
