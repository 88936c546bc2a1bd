"""Weights that were kept come back as they were, or as an error that names the file."""

import uuid

import numpy as np
import pytest

from widthwise.errors import InputError
from widthwise.records.array_file import DamagedFile, pack_arrays, unpack_arrays
from widthwise.records.parameters import kept_steps, parameters_folder, read_parameters, write_parameters

WEIGHTS = {
    "hidden.0": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
    "file": np.array(2.5),
    "self": np.arange(3),
}


@pytest.fixture(params=["disk", "url"])
def store(request, tmp_path):
    return tmp_path / "a.zarr" if request.param == "disk" else f"memory://{uuid.uuid4().hex}/a.zarr"


def test_weights_come_back_by_network_and_step(store):
    folder = parameters_folder(store)
    for step in (0, 100, 20):
        write_parameters(folder, 64, 3, step, {name: step + values for name, values in WEIGHTS.items()})
    assert kept_steps(folder, 64, 3) == [0, 20, 100] and kept_steps(folder, 64, 4) == []
    for asked, step in ((20, 20), (None, 100)):
        found = read_parameters(store, 64, 3, asked)
        assert found.keys() == WEIGHTS.keys()
        for name, values in WEIGHTS.items():
            np.testing.assert_array_equal(found[name], step + values)
            assert found[name].dtype == (step + values).dtype
    with pytest.raises(
        InputError, match=r"no weights of width 64, seed 3 at step 7: steps are \[0, 20, 100\]"
    ):
        read_parameters(store, 64, 3, 7)


@pytest.mark.parametrize("position", [200, 400, 700, -30])
def test_one_changed_bit_is_an_error_that_names_the_file(tmp_path, position):
    store = tmp_path / "a.zarr"
    write_parameters(parameters_folder(store), 64, 3, 5, WEIGHTS)
    (file,) = tmp_path.rglob("*.npz")
    content = bytearray(file.read_bytes())
    content[position] ^= 8
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"{file} is damaged.*train again"):
        read_parameters(store, 64, 3)


def test_a_file_under_the_name_of_another_network_is_refused(tmp_path):
    store = tmp_path / "a.zarr"
    write_parameters(parameters_folder(store), 64, 3, 5, WEIGHTS)
    (file,) = tmp_path.rglob("*.npz")
    file.rename(file.with_name("step_00000006.npz"))
    with pytest.raises(InputError, match="not what its name says"):
        read_parameters(store, 64, 3)


def test_objects_are_neither_written_nor_read(tmp_path):
    with pytest.raises(ValueError, match="`a` of type object"):
        pack_arrays({"a": np.array([object()])}, "x")
    np.savez(tmp_path / "a.npz", a=np.array([{}], dtype=object))
    with pytest.raises(DamagedFile, match="holds no plain arrays"):
        unpack_arrays((tmp_path / "a.npz").read_bytes())


def test_every_bit_of_a_packed_file_counts():
    """Each bit of each byte, of the zip's structure too: found, or without any effect on what is read."""
    content = pack_arrays({"a": np.arange(3)}, "x")
    for position in range(0, len(content), 7):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        try:
            arrays, identity = unpack_arrays(bytes(changed))
        except DamagedFile:
            continue
        assert identity == "x" and arrays.keys() == {"a"}
        np.testing.assert_array_equal(arrays["a"], np.arange(3))
