"""Digits: the classes asked for, balanced, disjoint, of equal length, and blind to the test points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from widthwise.data import load_points
from widthwise.data.digits import shares, split_indices
from widthwise.errors import InputError
from widthwise.study import DataSettings, Study, TrainingSettings

LABELS = load_digits().target


def points_of(loss="mse", **settings):
    return load_points(Study(name="a", data=DataSettings(**settings), training=TrainingSettings(loss=loss)))


@pytest.mark.parametrize(("classes", "train", "test"), [((3, 8), 16, 8), ((7, 1, 0), 10, 4), ((0, 9), 1, 0)])
def test_inputs_have_squared_length_equal_to_their_dimension(classes, train, test):
    points = points_of(classes=classes, train=train, test=test)
    assert points.inputs.shape == (train + test, 64) and points.train == train
    np.testing.assert_allclose(np.diag(points.input_kernel()), 1.0, rtol=1e-12)


def test_two_classes_are_minus_one_and_plus_one_in_the_order_given():
    assert sorted(points_of(classes=(3, 8), test=5).targets[:16, 0]) == [-1.0] * 8 + [1.0] * 8
    # Each digit of both classes, recognized by its pixels, changes sign with the order of the classes.
    every = int(np.isin(LABELS, (3, 8)).sum())
    points, turned = (points_of(classes=classes, train=every) for classes in ((3, 8), (8, 3)))
    where = np.argmax(turned.inputs @ points.inputs.T, axis=0)
    np.testing.assert_allclose(turned.inputs[where], points.inputs, atol=1e-9)
    np.testing.assert_array_equal(turned.targets[where], -points.targets)
    assert (points.targets == -1).sum() == (LABELS == 3).sum()


def test_more_classes_are_centered_one_hot():
    targets = points_of(classes=(2, 5, 7, 9), train=8).targets
    assert targets.shape == (8, 4)
    np.testing.assert_allclose(targets.sum(axis=1), 0.0, atol=1e-15)
    np.testing.assert_array_equal(np.sort(targets, axis=1), [[-0.25, -0.25, -0.25, 0.75]] * 8)


@pytest.mark.parametrize("classes", [(3, 8), (2, 5, 7)])
def test_cross_entropy_gets_one_probability_a_class(classes):
    points = points_of("cross_entropy", classes=classes, train=9)
    assert points.targets.shape == (9, len(classes))
    np.testing.assert_array_equal(np.sort(points.targets, axis=1)[:, -1], 1.0)
    np.testing.assert_array_equal(points.targets.sum(axis=1), 1.0)
    assert np.array_equal(points.inputs, points_of("mse", classes=classes, train=9).inputs)


def test_the_same_seed_gives_the_same_points_and_another_seed_others():
    assert points_of(seed=4, test=3).digest() == points_of(seed=4, test=3).digest()
    assert points_of(seed=4, test=3).digest() != points_of(seed=5, test=3).digest()


@pytest.mark.parametrize(("train", "test"), [(16, 8), (5, 1), (300, 57), (1, 356)])
def test_training_and_test_points_are_disjoint_and_of_the_chosen_classes(train, test):
    labels = np.where(LABELS == 3, 0, np.where(LABELS == 8, 1, -1))
    chosen = split_indices(labels, DataSettings(classes=(3, 8), train=train, test=test))
    assert [len(split) for split in chosen] == [train, test]
    assert len(np.unique(np.concatenate(chosen))) == train + test
    assert (labels[np.concatenate(chosen)] >= 0).all()


def test_no_image_occurs_twice_so_that_disjoint_indices_are_disjoint_images():
    assert len(np.unique(load_digits().data, axis=0)) == len(LABELS)


def test_classes_are_balanced_in_each_split():
    points = points_of("cross_entropy", classes=(0, 1, 2), train=17, test=7)
    assert sorted(points.targets[:17].sum(axis=0)) == [5, 6, 6]
    assert sorted(points.targets[17:].sum(axis=0)) == [2, 2, 3]


def test_all_digits_can_be_had_and_not_one_more():
    available = int(np.isin(LABELS, (3, 8)).sum())
    assert len(points_of(train=available - 3, test=3).inputs) == available
    with pytest.raises(InputError, match=rf"there are only {available} digits"):
        points_of(train=available - 3, test=4)


def test_the_center_is_the_mean_of_all_chosen_digits_but_the_test_points():
    images = load_digits().data
    labels = np.where(LABELS == 3, 0, np.where(LABELS == 8, 1, -1))
    train, test = split_indices(labels, DataSettings(train=4, test=100))
    others = [i for i in range(len(images)) if labels[i] >= 0 and i not in test]
    for index, got in zip(train, points_of(train=4, test=100).inputs[:4], strict=True):
        offset = images[index] - np.mean([images[i] for i in others], axis=0)
        np.testing.assert_allclose(got, offset * 8.0 / np.sqrt(np.sum(offset**2)), rtol=1e-12)


def test_one_training_point_is_enough():
    assert np.linalg.norm(points_of(train=1).inputs) == pytest.approx(8.0)


@given(available=st.lists(st.integers(0, 40), min_size=1, max_size=6), share=st.floats(0, 1))
def test_shares_are_as_equal_as_the_classes_allow(available, share):
    available = np.array(available)
    total = int(share * available.sum())
    counts = shares(total, available)
    assert counts.sum() == total
    assert (counts >= 0).all() and (counts <= available).all()
    # A class has fewer than another, by more than one, only if it has no more to give.
    assert all(counts[i] >= counts.max() - 1 or counts[i] == available[i] for i in range(len(counts)))
