"""Parts of CIFAR-5m: in natural order, mapped where they can be, and nothing in them is executed."""

import zipfile

import numpy as np
import pytest
from small_data import picture, stream_study, write_parts

from widthwise.data import open_stream
from widthwise.data.cifar5m import cifar5m_images
from widthwise.errors import InputError

BAD = {
    "objects": ({"X": np.array([{}, 1], object), "Y": np.zeros(2, int)}, "`X` holds Python objects"),
    "object labels": (
        {"X": picture(0, (2, 32, 32, 3)), "Y": np.array([0, None])},
        "`Y` holds Python objects",
    ),
    "floats": ({"X": np.zeros((2, 32, 32, 3)), "Y": np.zeros(2, int)}, "float64: give"),
    "channels first": ({"X": picture(0, (2, 3, 32, 32)), "Y": np.zeros(2, int)}, "`X` has shape"),
    "flat": ({"X": picture(0, (2, 3072)), "Y": np.zeros(2, int)}, "`X` has shape"),
    "too few labels": ({"X": picture(0, (2, 32, 32, 3)), "Y": np.zeros(1, int)}, "`Y` has shape"),
    "one-hot labels": ({"X": picture(0, (2, 32, 32, 3)), "Y": np.eye(2)}, "`Y` has shape"),
    "other classes": ({"X": picture(0, (2, 32, 32, 3)), "Y": np.array([3, 10])}, "`Y` is 10 at index 1"),
    "no labels": ({"X": picture(0, (2, 32, 32, 3))}, "`Y` is missing"),
}


def study_of(folder, **data):
    both = {"kind": "cifar5m", "path": "p", "train": 9, "test": 4}
    return stream_study(folder, **{**both, **data})


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_online_stream_follows_the_files_in_natural_order(tmp_path, save):
    write_parts(tmp_path / "p", (3, 2, 4, 1, 1, 1, 1, 1, 1, 5, 9, 12), save)
    parts = [np.load(tmp_path / "p" / f"part{k}.npz") for k in range(12)]
    images = np.concatenate([part["X"] for part in parts])
    labels = np.concatenate([part["Y"] for part in parts])
    stream = open_stream(study_of(tmp_path, order="online"))
    batches = list(stream.batches(0))
    assert len(images) == 41 and len(batches) == 7
    seen = np.concatenate([b.inputs for b in batches])
    train = images[:37]
    scaled = (images - train.mean(axis=(0, 1, 2))) / train.std(axis=(0, 1, 2))
    np.testing.assert_allclose(seen, scaled[:28], atol=1e-5)
    np.testing.assert_allclose(stream.probes.inputs, scaled[37:], atol=1e-5)
    np.testing.assert_array_equal(np.concatenate([b.answers for b in batches]).argmax(axis=1), labels[:28])
    np.testing.assert_array_equal(stream.probes.answers.argmax(axis=1), labels[37:])


@pytest.mark.parametrize("order", ["C", "F"])
def test_images_that_are_not_compressed_are_mapped_wherever_they_lie(tmp_path, order):
    (tmp_path / "p").mkdir()
    images = picture(4, (20, 32, 32, 3))
    stored = np.asarray(images, order=order)
    np.savez(tmp_path / "p" / "a.npz", Y=np.arange(20) % 10, other=np.arange(77), X=stored)
    source = cifar5m_images(study_of(tmp_path))
    chosen = np.array([17, 0, 5, 5])
    np.testing.assert_array_equal(source.read(chosen), images[chosen])
    parts = source.read.__self__
    assert isinstance(parts.mapped[0], np.memmap) and parts.loaded is None


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("name", BAD)
def test_arrays_of_other_kinds_are_refused_and_never_unpickled(tmp_path, name, save):
    arrays, message = BAD[name]
    write_parts(tmp_path / "p", (20,))
    save(tmp_path / "p" / "worse.npz", **arrays)
    with pytest.raises(InputError, match=message) as caught:
        open_stream(study_of(tmp_path))
    assert "worse.npz" in str(caught.value)


class Trap:
    """Says when it is unpickled, which must never be."""

    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_a_trap_in_a_part_does_not_spring(tmp_path):
    (tmp_path / "p").mkdir()
    np.savez(tmp_path / "p" / "trap.npz", X=np.array([Trap()], object), Y=np.zeros(1, int))
    with pytest.raises(InputError, match=r"trap\.npz: `X` holds Python objects, which are never loaded"):
        open_stream(study_of(tmp_path))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_part_that_is_cut_short_is_named(tmp_path, share):
    write_parts(tmp_path / "p", (20, 20))
    path = tmp_path / "p" / "part1.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"part1\.npz"):
        open_stream(study_of(tmp_path))


def test_a_damaged_compressed_part_is_named_when_it_is_read(tmp_path):
    write_parts(tmp_path / "p", (20,), np.savez_compressed)
    path = tmp_path / "p" / "part0.npz"
    with zipfile.ZipFile(path) as archive:
        begin = archive.getinfo("X.npy").header_offset
    content = bytearray(path.read_bytes())
    content[begin + 20_000 : begin + 20_100] = bytes(100)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"part0\.npz: `X` is damaged"):
        open_stream(study_of(tmp_path))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"size": 64}, r"`data\.size` = 64"),
        ({"train": 17}, "has 20 images"),
        ({"order": "online", "test": 20}, "has 20 images"),
        ({"path": "none"}, "none: there is no such file"),
        ({"path": "empty"}, "empty: holds no .npz parts"),
        ({"path": "p/part0.npz"}, "cannot be read as a folder"),
    ],
)
def test_what_cannot_be_had_is_refused(tmp_path, data, message):
    write_parts(tmp_path / "p", (20,))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        open_stream(study_of(tmp_path, **data))
