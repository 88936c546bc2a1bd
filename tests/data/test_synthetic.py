"""Synthetic tasks: points on the sphere, targets as defined, nested and reproducible."""

import numpy as np
import pytest
from scipy import stats

from widthwise.data import load_points
from widthwise.errors import InputError
from widthwise.study import DataSettings, Study, TrainingSettings

TASKS = ("single_index", "fourier", "sphere")
FALSE_ALARM_RATE = 1e-4


def points_of(task, loss="mse", **settings):
    data = DataSettings(kind="synthetic", task=task, **settings)
    return load_points(Study(name="a", data=data, training=TrainingSettings(loss=loss)))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("dimension", [1, 2, 30])
def test_points_lie_on_the_sphere_with_one_finite_target_each(task, dimension):
    points = points_of(task, dimension=dimension, train=6, test=3)
    assert points.inputs.shape == (9, dimension) and points.targets.shape == (9, 1) and points.train == 6
    np.testing.assert_allclose(np.diag(points.input_kernel()), 1.0, rtol=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_asking_for_more_points_leaves_the_first_as_they_are(task):
    few, many = points_of(task, train=4, test=2), points_of(task, train=9, test=5)
    for name in ("inputs", "targets"):
        np.testing.assert_allclose(getattr(few, name)[:4], getattr(many, name)[:4], rtol=1e-12)
        np.testing.assert_allclose(getattr(few, name)[4:], getattr(many, name)[9:11], rtol=1e-12)
    assert len(np.unique(many.inputs, axis=0)) == 14, "test points differ from training points"


@pytest.mark.parametrize("task", TASKS)
def test_the_same_seed_gives_the_same_points_and_another_seed_others(task):
    assert points_of(task, seed=3).digest() == points_of(task, seed=3).digest()
    assert points_of(task, seed=3).digest() != points_of(task, seed=4).digest()


def test_a_single_index_target_is_a_quadratic_function_of_one_direction():
    # y = a z^2 + b z + c with z = w.x: fitted on D = 3 by all monomials, the quadratic form has rank one,
    # its direction is that of the linear part, and the constants are those of the definition.
    points = points_of("single_index", dimension=3, train=60)
    x = points.inputs
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    # |x|^2 is constant on the sphere, so that the constant term is within the squares.
    design = np.stack([x[:, i] for i in range(3)] + [x[:, i] * x[:, j] for i, j in pairs], axis=1)
    fit, *_ = np.linalg.lstsq(design, points.targets[:, 0], rcond=None)
    np.testing.assert_allclose(design @ fit, points.targets[:, 0], atol=1e-12)
    direction = fit[:3] * 1.1
    assert np.linalg.norm(direction) == pytest.approx(1.0, abs=1e-12)
    z = x @ direction
    np.testing.assert_allclose(points.targets[:, 0], (z + 0.5 * (z**2 - 1) / 1.3) / 1.1, atol=1e-12)


def test_random_signs_are_fair_and_owe_nothing_to_the_points():
    points = points_of("sphere", dimension=5, train=4000, seed=8)
    signs = points.targets[:, 0]
    assert set(signs) == {-1.0, 1.0}
    threshold = stats.norm.isf(FALSE_ALARM_RATE / 2 / 6) / np.sqrt(len(signs))
    assert threshold < 0.08, "too few points to detect a bias or correlation of 0.08"
    assert abs(signs.mean()) < threshold
    assert np.all(np.abs(signs @ points.inputs / len(signs)) < threshold)


@pytest.mark.parametrize("dimension", [2, 10])
def test_fourier_targets_have_zero_mean_and_unit_variance(dimension):
    # The points are independent given the task; the reference sample adds as much error as 8,192 points.
    targets = points_of("fourier", dimension=dimension, train=8192, seed=dimension).targets[:, 0]
    z = stats.norm.isf(FALSE_ALARM_RATE / 4)
    mean_error = np.sqrt(2.0 / len(targets))
    variance_error = np.sqrt(2.0 * np.var(targets**2) / len(targets))
    assert z * variance_error < 0.15, "too few points to detect a wrong variance of 15 %"
    assert abs(targets.mean()) < z * mean_error
    assert abs(targets.var() - 1.0) < z * variance_error


def test_cross_entropy_needs_classes():
    for task in ("single_index", "fourier"):
        with pytest.raises(InputError, match=r'set training\.loss = "mse" or data\.task = "sphere"'):
            points_of(task, "cross_entropy")
    one_hot, signs = points_of("sphere", "cross_entropy").targets, points_of("sphere").targets
    np.testing.assert_array_equal(one_hot, np.concatenate([signs < 0, signs > 0], axis=1).astype(float))
