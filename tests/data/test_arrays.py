"""A user's arrays: what is right arrives unchanged, what is wrong is named."""

import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from widthwise.data import load_points
from widthwise.errors import InputError
from widthwise.study import DataSettings, Study, TrainingSettings

GOOD = {
    "x_train": np.arange(12.0).reshape(4, 3),
    "y_train": np.array([1.0, -2.0, 3.0, 0.5]),
    "x_test": np.ones((2, 3)),
    "y_test": np.zeros(2),
}


@pytest.fixture
def study(tmp_path):
    return Study(name="a", data=DataSettings(kind="arrays", path="points.npz"), folder=str(tmp_path))


@pytest.fixture
def load(study, tmp_path):
    """Loads the arrays given, after they went through a file."""

    def load(arrays, loss="mse"):
        np.savez(tmp_path / "points.npz", **arrays)
        return load_points(replace(study, training=TrainingSettings(loss=loss)))

    return load


def test_arrays_arrive_unchanged_training_points_first(load):
    points = load(GOOD)
    np.testing.assert_array_equal(points.inputs, np.concatenate([GOOD["x_train"], GOOD["x_test"]]))
    np.testing.assert_array_equal(points.targets[:, 0], [1.0, -2.0, 3.0, 0.5, 0.0, 0.0])
    assert points.train == 4 and points.splits == ["train"] * 4 + ["test"] * 2


def test_test_points_are_optional_and_may_be_none(load):
    alone = {name: GOOD[name] for name in ("x_train", "y_train")}
    assert load(alone).digest() == load(alone | {"x_test": np.zeros((0, 3)), "y_test": np.zeros(0)}).digest()


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8, np.float16])
def test_other_number_types_become_float64(load, dtype):
    points = load(GOOD | {"x_train": GOOD["x_train"].astype(dtype)})
    assert points.inputs.dtype == np.float64
    np.testing.assert_array_equal(points.inputs[:4], GOOD["x_train"])


def test_an_absolute_path_and_several_outputs_are_fine(study, tmp_path):
    np.savez_compressed(tmp_path / "points.npz", x_train=GOOD["x_train"], y_train=np.ones((4, 2)))
    path = str(tmp_path / "points.npz")
    elsewhere = replace(study, data=DataSettings(kind="arrays", path=path), folder="/")
    assert load_points(elsewhere).targets.shape == (4, 2)


def with_value(name, index, value):
    changed = GOOD[name].copy()
    changed[index] = value
    return {name: changed}


WRONG = {
    "a NaN": (with_value("x_train", (2, 1), np.nan), ["`x_train` is nan at index (2, 1)"]),
    "an infinity": (with_value("y_test", 1, -np.inf), ["`y_test` is -inf at index (1,)"]),
    "no points": (
        {"x_train": np.zeros((0, 3)), "y_train": np.zeros(0)},
        ["`x_train` has no points", "at least one"],
    ),
    "no dimensions": ({"x_train": np.zeros((4, 0))}, ["0 dimensions"]),
    "no outputs": ({"y_train": np.zeros((4, 0))}, ["0 outputs"]),
    "test points of other dimension": (
        {"x_test": np.ones((2, 5))},
        ["`x_test` has 5 dimensions", "`x_train` has 3"],
    ),
    "test targets of other outputs": (
        {"y_test": np.ones((2, 2))},
        ["`y_test` has 2 outputs", "`y_train` has 1"],
    ),
    "fewer targets": ({"y_train": np.zeros(3)}, ["`y_train` has 3 points", "`x_train` has 4"]),
    "fewer test targets": ({"y_test": np.zeros(1)}, ["`y_test` has 1 points", "`x_test` has 2"]),
    "flat inputs": ({"x_train": np.zeros(4)}, ["`x_train` has shape (4,)"]),
    "images": ({"x_train": np.zeros((4, 8, 8))}, ["`x_train` has shape (4, 8, 8)", "reshape"]),
    "deep targets": ({"y_train": np.zeros((4, 1, 1))}, ["`y_train` has shape (4, 1, 1)"]),
    "a scalar": ({"y_train": np.array(1.0)}, ["`y_train` has shape ()"]),
    "texts": ({"x_train": np.array([["a"] * 3] * 4)}, ["`x_train` is of type <U1", "real numbers"]),
    "complex numbers": ({"y_train": np.zeros(4, complex)}, ["`y_train` is of type complex128"]),
    "dates": ({"y_train": np.zeros(4, "datetime64[s]")}, ["`y_train` is of type datetime64"]),
    "Python objects": ({"y_train": np.array([1, None, 2, 3])}, ["`y_train` holds Python objects"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arrays_are_named_with_the_file(load, case):
    changes, parts = WRONG[case]
    with pytest.raises(InputError) as caught:
        load(GOOD | changes)
    assert all(part in str(caught.value) for part in [*parts, "points.npz"])


@pytest.mark.parametrize("missing", ["x_train", "y_train", "x_test", "y_test"])
def test_missing_arrays_are_named_beside_those_present(load, missing):
    with pytest.raises(InputError) as caught:
        load({name: values for name, values in GOOD.items() if name != missing} | {"extra": np.zeros(1)})
    assert f"`{missing}` is missing; the file has `extra`" in str(caught.value)


def npy_bytes():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def npz_bytes(member=None):
    buffer = io.BytesIO()
    np.savez(buffer, **GOOD)
    if member is not None:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("x_train.npy", member)
            archive.writestr("y_train.npy", member)
    return buffer.getvalue()


BROKEN = {
    "empty": b"",
    "text": b"x_train = 3",
    "npy": npy_bytes(),
    "half": npz_bytes()[: len(npz_bytes()) // 2],
    "all but the end": npz_bytes()[:-10],
    "a pickle": b"\x80\x04\x95\x10\x00\x00\x00.",
    "zip magic only": b"PK\x03\x04",
    "members cut short": npz_bytes(npy_bytes()[:-8]),
    "members without header": npz_bytes(b"\x93NUMPY\x01\x00"),
    "members of absurd size": npz_bytes(npy_bytes().replace(b"(3,), }    ", b"(9" + b"9" * 8 + b",), }")),
    "members of unreadable header": npz_bytes(npy_bytes().replace(b"'descr'", b"((((((x")),
    "members that are text": npz_bytes(b"hello"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_damaged_files_are_refused_by_name(study, tmp_path, case):
    (tmp_path / "points.npz").write_bytes(BROKEN[case])
    with pytest.raises(InputError, match=r"points\.npz"):
        load_points(study)


def test_a_damaged_byte_is_noticed(study, tmp_path):
    content = bytearray(npz_bytes())
    content[content.find(np.float64(11.0).tobytes()) + 7] ^= 1  # within x_train: the checksum must tell
    (tmp_path / "points.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"`x_train` is damaged"):
        load_points(study)


def test_missing_files_and_folders_are_told(study, tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        load_points(study)
    (tmp_path / "points.npz").mkdir()
    with pytest.raises(InputError, match="cannot be read"):
        load_points(study)


@pytest.mark.parametrize(
    ("targets", "part"),
    [
        (np.array([0, 1, 1, 0]), "one output"),
        (np.array([[0.5, 0.5], [0.5, 0.6], [1, 0], [0, 1]]), "sums to 1.1, not to 1, at index 1"),
        (np.array([[1, 0], [0, 1], [1.5, -0.5], [0, 1]]), "negative or sums to 1, not to 1, at index 2"),
    ],
)
def test_cross_entropy_wants_probabilities(load, targets, part):
    with pytest.raises(InputError) as caught:
        load({"x_train": GOOD["x_train"], "y_train": targets}, "cross_entropy")
    assert part in str(caught.value) and "one-hot" in str(caught.value)


def test_probabilities_arrive_unchanged(load):
    targets = np.array([[0.5, 0.5], [0.4, 0.6], [1, 0], [0, 1]])
    points = load({"x_train": GOOD["x_train"], "y_train": targets}, "cross_entropy")
    np.testing.assert_array_equal(points.targets, targets)
