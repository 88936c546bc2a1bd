"""Reading ahead is bounded, in order, and passes errors on; files are hashed; fixed points become images."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_data import stream_study

from widthwise.data import Batch, open_stream
from widthwise.data.batch_order import WORKERS, offline_batches, read_ahead
from widthwise.data.files import files_digest, natural, visible
from widthwise.errors import InputError
from widthwise.study import NetworkSettings


def numbered(numbers):
    return Batch(np.asarray(numbers)[:, None], np.asarray(numbers, float)[:, None])


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 40), st.integers(0, 10))
def test_every_epoch_sees_every_point_once_wherever_one_starts(count, batch, start, seed):
    study = stream_study(".", batch=min(batch, count), steps=40, seed=seed)
    batches = offline_batches(numbered, count, study)
    every = np.concatenate([b.inputs[:, 0] for b in batches(0)])
    for k in range(0, len(every) - count + 1, count):
        assert sorted(every[k : k + count]) == list(range(count))
    later = [b.inputs[:, 0] for b in batches(start)]
    np.testing.assert_array_equal(np.concatenate([[], *later]), every[start * min(batch, count) :])


def test_reading_ahead_keeps_the_order_and_is_bounded():
    begun, lock = [], threading.Lock()

    def take(number):
        with lock:
            begun.append(number)
        time.sleep(0.002 * (number % 3))
        return numbered([number])

    ahead = read_ahead(take, iter(range(50)))
    seen = []
    for batch in ahead:
        seen.append(int(batch.inputs[0, 0]))
        assert max(begun) <= seen[-1] + WORKERS + 1
    assert seen == list(range(50)) == sorted(begun)


def test_an_error_in_a_thread_is_raised_where_its_batch_is_due_and_threads_end():
    def take(number):
        if number == 5:
            raise InputError("file 5 is damaged")
        return numbered([number])

    ahead = read_ahead(take, iter(range(50)))
    seen = []
    with pytest.raises(InputError, match="file 5"):
        seen.extend(int(batch.inputs[0, 0]) for batch in ahead)  # as far as it goes
    assert seen == [0, 1, 2, 3, 4]
    other = read_ahead(take, iter(range(5)))
    next(other)
    other.close()
    deadline = time.monotonic() + 10
    while any(t.name.startswith("widthwise-data") for t in threading.enumerate()):
        assert time.monotonic() < deadline, "threads outlive their iterator"
        time.sleep(0.01)


def test_a_digest_tells_names_sizes_and_contents_of_small_files(tmp_path):
    def digest(**contents):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        return files_digest(visible(folder), folder)

    same = digest(a=b"12", b=b"3")
    assert digest(a=b"12", b=b"3") == same
    assert len({same, digest(a=b"1", b=b"23"), digest(a=b"12", c=b"3"), digest(a=b"12", b=b"4")}) == 4


def test_a_digest_of_large_files_sees_both_ends_and_pieces_between(tmp_path, monkeypatch):
    monkeypatch.setattr("widthwise.data.files.WHOLE", 1000)
    monkeypatch.setattr("widthwise.data.files.PIECE", 64)
    monkeypatch.setattr("widthwise.data.files.PIECES", 16)
    content = np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8)

    def digest(values):
        for k, part in enumerate(np.split(values, [700, 705, 3000])):
            (tmp_path / f"p{k}").write_bytes(part.tobytes())
        return files_digest(visible(tmp_path), tmp_path)

    before = digest(content)
    seen = 0
    for where in [0, 4999, *range(1, 4999, 101)]:
        changed = content.copy()
        changed[where] ^= 1
        found = digest(changed) != before
        seen += found
        assert found or where not in (0, 4999)
    assert 5 <= seen <= 30, "16 pieces of 64 among 5,000 bytes are a fifth"


def test_names_are_in_natural_order(tmp_path):
    for name in ("p10", "p9", "p1", "q", ".hidden", "p01"):
        (tmp_path / name).write_text("")
    assert [path.name for path in visible(tmp_path)] == ["p01", "p1", "p9", "p10", "q"]
    assert natural(tmp_path / "p9") < natural(tmp_path / "p10")


def test_digits_are_square_images_for_convolutional_networks():
    flat = stream_study(".", kind="digits", train=10, test=2)
    square = replace(flat, network=NetworkSettings(kind="cnn"))
    ours, theirs = open_stream(square), open_stream(flat)
    assert ours.shape == (8, 8, 1) and theirs.shape == (64,)
    np.testing.assert_array_equal(ours.probes.inputs.reshape(5, 64), theirs.probes.inputs)
    batch = next(ours.batches(1))
    np.testing.assert_array_equal(batch.inputs.reshape(4, 64), next(theirs.batches(1)).inputs)
    assert ours.probes.digest() != theirs.probes.digest()


@pytest.mark.parametrize(("dimension", "shape"), [(12, (2, 2, 3)), (9, (3, 3, 1)), (10, None), (24, None)])
def test_arrays_are_images_where_they_are_square(tmp_path, dimension, shape):
    np.savez(tmp_path / "a.npz", x_train=np.ones((5, dimension)), y_train=np.ones(5))
    study = stream_study(tmp_path, kind="arrays", path="a.npz")
    study = replace(study, network=NetworkSettings(kind="resnet"))
    if shape:
        assert open_stream(study).shape == shape
    else:
        with pytest.raises(InputError, match=f"{dimension} numbers are no square images"):
            open_stream(study)
