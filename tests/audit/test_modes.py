"""Modes of recorded tangent kernels, and how mean kernels would learn."""

import re

import numpy as np
import pytest
from description_rows import ROOT, RUN, dataset, rows_of
from synthetic_records import WIDTHS

from widthwise.audit import audit


def kernel_records(rng, *, points=10, seeds=6, named=True):
    """Kernels B_N B_N^T with bends 1/N and noise N^-1/2, with their recorded modes if `named`."""
    base, bend = rng.standard_normal((2, points, points))
    own = rng.standard_normal((len(WIDTHS), seeds, 2, points, points)) / ROOT[..., None, None]
    roots = base + 3 * bend / ROOT[..., None, None] ** 2 + 0.2 * own
    kernels, target = roots @ np.swapaxes(roots, -1, -2), rng.standard_normal((points, 1))
    values, vectors = np.linalg.eigh(kernels / points)
    powers = (np.swapaxes(vectors, -1, -2) @ target)[..., 0] ** 2
    modes = {
        "tangent_kernel_eigenvalue": ((*RUN, "mode"), values[..., ::-1]),
        "task_power": ((*RUN, "mode"), powers[..., ::-1]),
    }
    kernel = {"tangent_kernel": ((*RUN, "point", "point_b"), kernels)}
    return dataset([0, 5], seeds, target=(("point", "output"), target), **(modes if named else kernel))


def test_modes_are_those_of_recorded_kernels(seed):
    """The same tests, word by word, whether modes or kernels were recorded."""
    rows = []
    for named in (True, False):
        found = audit(kernel_records(np.random.default_rng(seed), named=named), claims=["spectra"])
        rows.append([r.to_json() for r in found.rows if r.where.get("width") is None])
    assert len(rows[0]) == 6
    for recorded, computed in zip(*rows, strict=True):
        assert recorded["where"] == computed["where"] and recorded["verdict"] == computed["verdict"]
        assert computed["estimate"] == pytest.approx(recorded["estimate"], rel=1e-6)
        numbers = [np.array([r["p_value"] or 0.0, *(r["interval"] or ())]) for r in (computed, recorded)]
        np.testing.assert_allclose(*numbers, rtol=1e-6, atol=1e-9)


def test_modes_are_those_of_training_points(seed):
    """Of ten points the first six are trained: the spectrum is that of their block."""
    records = kernel_records(np.random.default_rng(seed), named=False)
    split = records.assign_coords(split=("point", ["train"] * 6 + ["test"] * 4))
    block = records.isel(point=slice(6), point_b=slice(6))
    found, expected = (
        [r.to_json() for r in audit(r, claims=["spectra"]).rows if r.where["quantity"] == "eigenvalues"]
        for r in (split, block)
    )
    assert found == expected


def test_mean_kernels_leave_what_their_modes_leave(seed):
    """Diagonal kernels, so that modes are points: by hand at every width, and what 90 % of the task takes."""
    eigenvalues = np.array([8.0, 4.0, 2.0, 1.0])
    bend = 1 + 8 / np.array(WIDTHS)[:, None] * np.array([0.0, 0.0, 1.0, 0.0])
    noise = 1 + 0.01 * np.random.default_rng(seed).standard_normal((len(WIDTHS), 6, 1, 4))
    kernels = (eigenvalues * bend)[:, None, None] * noise
    target = np.array([3.0, 2.0, 1.0, 0.5])[:, None]
    records = dataset(
        [3],
        tangent_kernel=((*RUN, "point", "point_b"), kernels[..., None] * np.eye(4)),
        target=(("point", "output"), target),
    )
    rows = rows_of(records, "spectra", "residual curve of the mean kernel", step=3, against=128)
    power = target[:, 0] ** 2 / (target**2).sum()
    times = np.geomspace(1e-3, 10, 4000)
    for width, row in rows.items():
        curves = [
            (power * np.exp(-2 * kernels[WIDTHS.index(n)].mean(axis=(0, 1)) / 4 * times[:, None])).sum(axis=1)
            for n in (width, 128)
        ]
        gaps = curves[0] - curves[1]
        assert abs(row.estimate) == pytest.approx(np.abs(gaps).max(), rel=0.1)
        assert row.estimate < 0 and row.interval[0] <= row.estimate <= row.interval[1]
        assert "in 2 of its 4 modes" in row.advice
    assert set(rows) == {16, 32, 64}
    bare = records.drop_vars("target")
    assert not rows_of(bare, "spectra", "residual curve of the mean kernel")


SWAPS = {  # by how much eigenvalues and powers of N = 16 fall short of those of infinite width
    "eigenvalues": (0.4, 0.0, "eigenvalues carry 100 %: what differs is the eigenvalues"),
    "both": (0.3, -0.05, "eigenvalues carry [6-9][0-9] %: what differs is the eigenvalues"),
    "opposed": (
        0.4,
        0.1,
        r"the eigenvalues alone would make 1\.\d+ times as much, which the power of the task in slower modes "
        "partly undo: what differs is the eigenvalues",
    ),
    "powers": (
        -0.1,
        -0.3,
        r"the power of the task in slower modes alone would make 1\.\d+ times as much, which the eigenvalues "
        "partly undo: what differs is the power of the task in slower modes",
    ),
}


@pytest.mark.parametrize("swap", SWAPS)
def test_what_carries_the_gap_is_said_where_one_part_is_more_than_all_of_it_too(seed, swap):
    slower, weaker, words = SWAPS[swap]
    near = 16 / np.array(WIDTHS)[:, None, None, None]
    noise = 1 + 1e-3 * np.random.default_rng(seed).standard_normal((len(WIDTHS), 6, 1, 2))
    records = dataset(
        [3],
        tangent_kernel_eigenvalue=((*RUN, "mode"), np.array([4.0, 1.0]) * (1 - slower * near) * noise),
        task_power=((*RUN, "mode"), (0.5 + weaker * near * np.array([1.0, -1.0])) * noise),
    )
    (row,) = (r for r in audit(records, claims=["spectra"]).rows if r.where["quantity"] == "swap test")
    assert re.search(words, row.advice), (row.estimate, row.advice)


@pytest.mark.parametrize("spoil", [np.nan, np.inf, 1e200])
def test_points_at_which_a_kernel_is_lost_are_left_out(seed, spoil):
    rng = np.random.default_rng(seed)
    records = kernel_records(rng, named=False).assign(loss=(RUN, rng.random((4, 6, 2))))
    spoiled = records.copy(deep=True)
    spoiled["tangent_kernel"][1, 2, 1, 3, :] = spoil
    spoiled["tangent_kernel"][1, 2, 1, :, 3] = spoil
    kept = [0, 1, 2, 4, 5, 6, 7, 8, 9]
    found, expected = (
        [r.estimate for r in audit(r, claims=["spectra"]).rows if r.where["step"] == 5]
        for r in (spoiled, records.isel(point=kept, point_b=kept))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-6)
