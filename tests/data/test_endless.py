"""Endless streams: the digits are those of the package `mnist1d`, the tasks those of fixed points."""

# ruff: noqa: NPY002 - the package draws from NumPy's global state, which is what is compared here
from dataclasses import replace

import numpy as np
import pytest
from mnist1d.data import get_dataset_args, get_templates
from mnist1d.transform import transform
from scipy import stats
from small_data import stream_study

from widthwise.data import load_points, open_stream
from widthwise.data.endless import LARGEST_CHUNK
from widthwise.data.mnist1d import Draws, drawn_digits
from widthwise.errors import InputError

FALSE_ALARM_RATE = 1e-4
TASKS = ("single_index", "fourier", "sphere")


def study_of(**data):
    return stream_study(".", **{"order": "online", "test": 4, **data})


def test_digits_are_those_of_the_package_from_the_same_draws(seed):
    # The package draws from NumPy's global state, digit by digit; the same draws are then ours.
    templates, constants = get_templates(), get_dataset_args(as_dict=True)
    before = np.random.get_state()
    draws, theirs = [], []
    try:
        for digit in range(200):
            np.random.seed(seed % 2**31 + digit)
            first = np.random.rand()
            size = np.random.rand()
            shift = np.random.choice(constants["max_translation"])
            noise = np.random.randn(72), np.random.randn(72)
            draws.append((first, size, shift, *noise, np.random.rand()))
            np.random.seed(seed % 2**31 + digit)
            x, _ = transform(templates["x"][digit % 10], templates["t"], get_dataset_args())
            theirs.append(x)
    finally:
        np.random.set_state(before)
    ours = drawn_digits(
        templates["x"][np.arange(200) % 10], Draws(*map(np.array, zip(*draws, strict=True))), constants
    )
    np.testing.assert_allclose(ours, np.stack(theirs), atol=1e-12)


def test_making_digits_leaves_global_random_numbers_alone():
    before = np.random.get_state()[1].copy()
    next(open_stream(study_of(kind="mnist1d")).batches(0))
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_the_first_chunk_has_mean_zero_and_variance_one_and_later_ones_nearly(seed):
    study = study_of(kind="mnist1d", batch=LARGEST_CHUNK, steps=3)
    first, second, _ = (batch.inputs for batch in open_stream(study).batches(0))
    assert abs(first.mean()) < 1e-12 and first.std() == pytest.approx(1.0, abs=1e-12)
    # Digits are independent: the mean of each varies, and their average over a chunk less.
    error = second.mean(axis=1).std() / np.sqrt(len(second))
    bound = stats.norm.isf(FALSE_ALARM_RATE / 2) * error
    assert bound < 0.02, "too few digits to see that a chunk is not standardized by itself"
    assert 1e-9 < abs(second.mean()) < bound * np.sqrt(2)


def test_all_ten_digits_are_equally_frequent():
    study = study_of(kind="mnist1d", batch=LARGEST_CHUNK, steps=2)
    answers = np.concatenate([batch.answers for batch in open_stream(study).batches(0)])
    counts = np.bincount(answers.argmax(axis=1), minlength=10)
    assert stats.chisquare(counts).pvalue > FALSE_ALARM_RATE
    np.testing.assert_allclose(answers.sum(axis=1), 0.0, atol=1e-12)


def test_offline_digits_are_the_first_of_the_online_ones():
    online = open_stream(study_of(kind="mnist1d", batch=50, steps=100))
    offline = open_stream(study_of(kind="mnist1d", order="offline", train=LARGEST_CHUNK + 50, batch=50))
    first = np.concatenate([b.inputs for b in online.batches(0)])[: LARGEST_CHUNK + 50]
    assert len(first) == LARGEST_CHUNK + 50
    small = study_of(kind="mnist1d", order="offline", train=LARGEST_CHUNK + 50)
    full = replace(small, record=replace(small.record, train_points=10**6))
    np.testing.assert_array_equal(open_stream(full).probes.inputs[:-4], first)
    np.testing.assert_array_equal(offline.probes.inputs[-4:], online.probes.inputs)


@pytest.mark.parametrize("task", TASKS)
def test_an_online_task_is_the_offline_one(task):
    study = study_of(kind="synthetic", task=task, dimension=4, seed=6)
    stream = open_stream(study)
    points = load_points(study)
    np.testing.assert_array_equal(stream.probes.inputs, points.inputs[-4:])
    np.testing.assert_array_equal(stream.probes.targets, points.targets[-4:])
    x = np.concatenate([b.inputs for b in stream.batches(0)])
    np.testing.assert_allclose((x**2).sum(axis=1), 4.0, rtol=1e-12)


def test_a_single_index_target_is_the_same_function_of_the_inputs_in_every_chunk():
    # Fitted on fixed points by all monomials of degree 1 and 2, it predicts later chunks exactly.
    study = study_of(kind="synthetic", dimension=3, train=60, batch=3000, steps=4)

    def design(x):
        pairs = [(i, j) for i in range(3) for j in range(i, 3)]
        return np.concatenate([x, np.stack([x[:, i] * x[:, j] for i, j in pairs], axis=1)], axis=1)

    points = load_points(study)
    fit, *_ = np.linalg.lstsq(design(points.inputs[:60]), points.targets[:60, 0], rcond=None)
    for batch in open_stream(study).batches(0):
        np.testing.assert_allclose(design(batch.inputs) @ fit, batch.answers[:, 0], atol=1e-10)


@pytest.mark.parametrize("kind", ["synthetic", "mnist1d"])
@pytest.mark.parametrize("batch", [1000, 4096, 5000, 9000])
def test_batches_across_chunks_are_those_of_smaller_batches(kind, batch):
    whole = study_of(kind=kind, batch=batch, steps=4)
    small = study_of(kind=kind, batch=500, steps=4 * batch // 500)
    rows = np.concatenate([b.inputs for b in open_stream(whole).batches(0)])
    others = np.concatenate([b.inputs for b in open_stream(small).batches(0)])
    np.testing.assert_array_equal(rows[: len(others)], others)
    np.testing.assert_array_equal(next(open_stream(whole).batches(3)).inputs, rows[3 * batch :])
    assert len(np.unique(rows[:, 0])) == len(rows)


def test_real_targets_are_refused_for_cross_entropy():
    study = study_of(kind="synthetic")
    with pytest.raises(InputError, match="real targets"):
        open_stream(replace(study, training=replace(study.training, loss="cross_entropy")))
