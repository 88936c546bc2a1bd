"""Nested families: what cancels between widths, and that no network depends on which others there are."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_resume import Counting, identical

from widthwise.data import Points
from widthwise.records import open_records
from widthwise.records.layout import Layout
from widthwise.records.status import run_status
from widthwise.study import EnsembleSettings, NetworkSettings, RecordSettings, Study, TrainingSettings
from widthwise.training import train_ensemble
from widthwise.training.program import Compiler

RNG = np.random.default_rng(4)
POINTS = Points(RNG.standard_normal((5, 3)), RNG.standard_normal((5, 1)), train=4)
COMPILER = Compiler()
SMALL = Study(
    name="nested",
    network=NetworkSettings(hidden_layers=2),
    training=TrainingSettings(steps=4),
    ensemble=EnsembleSettings(widths=(4, 8), seeds=3, seeds_per_cell=4, coupling="nested"),
    record=RecordSettings(quantities=("prediction", "loss")),
)


def with_ensemble(study, **changes):
    return replace(study, ensemble=replace(study.ensemble, **changes))


def train(study, path, **options):
    return train_ensemble(study, path, points=POINTS, compiler=COMPILER, **options)


def family_means(values, family):
    return np.stack([values[family == f].mean(axis=0) for f in range(family.max() + 1)])


@pytest.fixture(scope="module")
def one_layer():
    """Nested records of one hidden layer, and independent ones of as many networks."""
    study = replace(
        SMALL,
        network=NetworkSettings(),
        ensemble=EnsembleSettings(widths=(16, 32), seeds=48, coupling="nested", precision="float64"),
        record=RecordSettings(quantities=("prediction", "loss", "feature_kernel", "tangent_kernel")),
    )
    nested = train_ensemble(study, points=POINTS)
    alone = train_ensemble(with_ensemble(study, coupling="independent", seeds=96), points=POINTS)
    return nested, alone


def test_kernels_of_a_wide_network_are_the_mean_of_its_parts_at_initialization(one_layer):
    nested, _ = one_layer
    family = nested["family"].values
    assert family[0].tolist() == [k // 2 for k in range(96)]
    assert family[1].tolist() == [*range(48), *[-1] * 48]
    np.testing.assert_array_equal(nested["done"].values, family >= 0)
    for name in ("feature_kernel", "tangent_kernel"):
        start = nested[name].isel(step=0).values
        narrow, wide = (family_means(start[i], family[i]) for i in (0, 1))
        np.testing.assert_allclose(narrow, wide, rtol=1e-12)
        assert np.std(wide, axis=0).min() > 0.01


def test_differences_between_widths_lose_their_noise_of_first_order(one_layer):
    """Of two independent networks of half the width and a whole one it would be 2 Var(whole)."""
    nested, alone = one_layer
    family = nested["family"].values
    for name, least in (("feature_kernel", 500.0), ("tangent_kernel", 20.0), ("prediction", 20.0)):
        last = nested[name].isel(step=-1).values
        difference = family_means(last[0], family[0]) - family_means(last[1], family[1])
        scatter = difference.var(axis=0, ddof=1).sum()
        whole = alone[name].isel(step=-1).values[1].var(axis=0, ddof=1).sum()
        assert 2 * whole / scatter > least


def test_means_and_variances_at_each_width_are_those_of_independent_networks(one_layer):
    nested, alone = one_layer
    for at, count in ((0, 96), (1, 48)):
        mine, other = nested["prediction"].values[at, :count, -1], alone["prediction"].values[at, :, -1]
        noise = np.sqrt(mine.var(axis=0) / count + other.var(axis=0) / 96)
        assert (np.abs(mine.mean(axis=0) - other.mean(axis=0)) < 5 * noise).all()
        assert (np.abs(np.log(mine.var(axis=0) / other.var(axis=0))) < 5 * np.sqrt(2 / count + 2 / 96)).all()


def test_extended_stores_keep_every_network_to_the_last_bit(tmp_path):
    count = Counting()
    first = train(SMALL, tmp_path / "a.zarr", progress=count).load()
    assert count.trained == 3 * (2 + 1)
    larger, count = with_ensemble(SMALL, widths=(2, 4, 8, 16), seeds=2), Counting()
    records = train(larger, tmp_path / "a.zarr", progress=count).load()
    assert count.trained == 2 * (8 + 4 + 2 + 1) - (4 + 3 + 2), "those that were there are trained again"
    fresh = train(larger, tmp_path / "b.zarr").load()
    identical(records, fresh)
    for width, networks in ((4, 6), (8, 3)):
        chosen = {"width": width, "seed": range(networks)}
        np.testing.assert_array_equal(records["loss"].sel(chosen), first["loss"].sel(chosen))
    fewer = train(SMALL, tmp_path / "a.zarr").load()
    identical(*(each.where(each["done"]) for each in (fewer, first)))


def test_a_store_of_before_coupling_goes_on(tmp_path):
    study = with_ensemble(SMALL, coupling="independent", seeds=1)
    train(study, tmp_path / "a.zarr")
    path = tmp_path / "a.zarr" / "zarr.json"
    root = json.loads(path.read_text())
    stored = json.loads(root["attributes"]["study"])
    del stored["ensemble"]["coupling"]
    root["attributes"]["study"] = json.dumps(stored)
    path.write_text(json.dumps(root))
    count = Counting()
    train(study, tmp_path / "a.zarr", progress=count)
    assert count.total == 0
    assert "family" not in open_records(tmp_path / "a.zarr").coords
    assert run_status(study, tmp_path / "a.zarr").count("done") == 2
    hashes = {
        Layout(each, POINTS).training_hash() for each in (study, with_ensemble(study, coupling="nested"))
    }
    assert len(hashes) == 2
