"""Eigenvalues and task power against NumPy and against what gradient flow does with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from widthwise.training.measures.tangent import mode_count, spectrum

POINTS, OUTPUTS = 7, 2


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64(True):
        yield


def kernel_and_targets(seed):
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((POINTS, 9))
    return rows @ rows.T, rng.standard_normal((POINTS, OUTPUTS))


@pytest.mark.parametrize(("train", "modes"), [(5, 3), (5, 5), (0, 4), (7, 40)])
def test_is_numpys(seed, train, modes):
    kernel, targets = kernel_and_targets(seed)
    found = jax.jit(spectrum, static_argnums=(2, 3))(jnp.array(kernel), jnp.array(targets), train, modes)
    count = train or POINTS
    values, vectors = np.linalg.eigh(kernel[:count, :count] / count)
    kept = mode_count(train, POINTS, modes)
    assert found.eigenvalue.shape == found.task_power.shape == (kept,) == (min(modes, count),)
    np.testing.assert_allclose(found.eigenvalue, values[::-1][:kept], rtol=1e-10)
    power = [sum((vectors[:, k] @ targets[:count, c]) ** 2 for c in range(OUTPUTS)) for k in range(count)]
    np.testing.assert_allclose(found.task_power, power[::-1][:kept], rtol=1e-8)


def test_powers_sum_to_the_squared_targets(seed):
    kernel, targets = kernel_and_targets(seed)
    found = spectrum(jnp.array(kernel), jnp.array(targets), 5, 32)
    np.testing.assert_allclose(found.task_power.sum(), (targets[:5] ** 2).sum(), rtol=1e-12)


def test_modes_decay_as_gradient_descent_makes_them(seed):
    """A linear model with this kernel: |y - f|^2 = sum_k c_k (1 - eta P lambda_k)^(2 t), loss summed."""
    kernel, targets = kernel_and_targets(seed)
    rate, steps, residual = 0.01, 20, targets.copy()
    for _ in range(steps):
        residual -= rate * kernel @ residual
    found = spectrum(jnp.array(kernel), jnp.array(targets), POINTS, POINTS)
    decay = (1 - rate * POINTS * np.asarray(found.eigenvalue)) ** (2 * steps)
    expected = (np.asarray(found.task_power) * decay).sum()
    np.testing.assert_allclose((residual**2).sum(), expected, rtol=1e-10)
    assert expected < 0.9 * (targets**2).sum()


def test_rotating_outputs_and_permuting_points_change_nothing(seed):
    kernel, targets = kernel_and_targets(seed)
    order = np.random.default_rng(seed).permutation(POINTS)
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    plain = spectrum(jnp.array(kernel), jnp.array(targets), 0, POINTS)
    other = spectrum(jnp.array(kernel[order][:, order]), jnp.array(targets[order] @ turn), 0, POINTS)
    np.testing.assert_allclose(other.eigenvalue, plain.eigenvalue, rtol=1e-9)
    np.testing.assert_allclose(other.task_power, plain.task_power, rtol=1e-7)
