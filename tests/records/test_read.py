import errno
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from widthwise.errors import StoreError
from widthwise.records import open_records


def foreign(variables):
    coords = {"width": [8, 16], "seed": [0, 1, 2], "step": [0, 10]}
    return xr.Dataset(
        variables, coords={k: v for k, v in coords.items() if any(k in d for d, _ in variables.values())}
    )


def test_a_store_of_other_training_code_needs_only_a_loss_with_widths_and_steps(tmp_path):
    loss = np.arange(12.0).reshape(2, 3, 2, 1)
    foreign({"loss": (("width", "seed", "step", "split"), loss)}).to_zarr(
        tmp_path / "theirs.zarr", zarr_format=3
    )
    np.testing.assert_array_equal(open_records(tmp_path / "theirs.zarr")["loss"], loss)


def test_wrong_dimensions_are_named(tmp_path):
    wrong = foreign({"loss": (("seed", "width", "step", "split"), np.zeros((3, 2, 2, 1)))})
    wrong.to_zarr(tmp_path / "wrong.zarr", zarr_format=3)
    with pytest.raises(
        StoreError, match=r"`loss` has dimensions \('seed', 'width'.*schema says \('width', 'seed'"
    ):
        open_records(tmp_path / "wrong.zarr")


@pytest.mark.parametrize(
    "variables",
    [
        {"loss": (("seed",), np.zeros(3))},
        {"other": (("width", "seed", "step"), np.zeros((2, 3, 2)))},
    ],
)
def test_a_store_without_what_an_audit_needs_is_refused(tmp_path, variables):
    foreign(variables).to_zarr(tmp_path / "a.zarr", zarr_format=3)
    with pytest.raises(StoreError):
        open_records(tmp_path / "a.zarr")


def test_a_store_that_may_not_be_read_is_not_said_to_be_damaged(tmp_path, monkeypatch):
    foreign({"loss": (("width", "seed", "step", "split"), np.zeros((2, 3, 2, 1)))}).to_zarr(
        tmp_path / "a.zarr", zarr_format=3
    )

    def forbidden(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    with pytest.raises(StoreError, match=r"a\.zarr cannot be read: Permission denied") as caught:
        open_records(tmp_path / "a.zarr")
    assert "delete" not in str(caught.value)


def test_a_missing_path_says_how_to_make_a_store(tmp_path):
    with pytest.raises(StoreError, match=r"does not exist.*widthwise train"):
        open_records(tmp_path / "nowhere.zarr")
