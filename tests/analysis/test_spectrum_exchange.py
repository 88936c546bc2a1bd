"""The swap test: which of eigenvalues and task powers carries a gap."""

import numpy as np
import pytest
from scipy import integrate

from widthwise.analysis.spectrum_exchange import residual_curves, residual_times, swap_test

MODES = np.arange(1, 41)
EIGENVALUES, POWERS = MODES**-1.5, MODES**-2.0 / (MODES**-2.0).sum()


def networks(rng, eigenvalues, powers, seeds=8, noise=0.02):
    factors = np.exp(noise * rng.standard_normal((2, seeds, len(MODES))))
    return eigenvalues * factors[0], powers * factors[1]


def test_gap_of_eigenvalues_is_carried_by_them(seed):
    rng = np.random.default_rng(seed)
    swap = swap_test(networks(rng, EIGENVALUES / 2, POWERS), networks(rng, EIGENVALUES, POWERS), 0.05, rng)
    assert swap.share == pytest.approx(1, abs=0.1)
    assert swap.interval[0] < swap.share < swap.interval[1]
    assert swap.interval[1] - swap.interval[0] < 0.3


def test_gap_of_powers_is_not_carried_by_eigenvalues(seed):
    rng = np.random.default_rng(seed)
    slower = MODES**-1.2 / (MODES**-1.2).sum()
    swap = swap_test(networks(rng, EIGENVALUES, slower), networks(rng, EIGENVALUES, POWERS), 0.05, rng)
    assert swap.share == pytest.approx(0, abs=0.1)
    assert swap.largest > 0.05


def test_share_does_not_depend_on_which_width_comes_first(seed):
    rng = np.random.default_rng(seed)
    narrow = networks(rng, EIGENVALUES / 1.3, MODES**-1.5)
    wide = networks(rng, EIGENVALUES, POWERS)
    both = [swap_test(*pair, 0.05, rng).share for pair in ((narrow, wide), (wide, narrow))]
    assert both[0] == pytest.approx(both[1])
    assert 0.05 < both[0] < 0.95


def test_equal_kernels_have_no_gap():
    same = (np.stack([EIGENVALUES] * 3), np.stack([POWERS] * 3))
    swap = swap_test(same, same, 0.05, np.random.default_rng(0))
    assert (swap.share, swap.largest) == (0, 0)


def test_residual_curve_solves_kernel_gradient_flow(seed):
    """R(t) = |r(t)|^2 / |y|^2 where dr/dt = -K r, r(0) = y: integrated by another method."""
    rng = np.random.default_rng(seed)
    factor = rng.standard_normal((6, 8))
    kernel, y = factor @ factor.T / 8, rng.standard_normal(6)
    values, vectors = np.linalg.eigh(kernel)
    times = residual_times([values[None]])[:8]
    curve = residual_curves(values[None], (vectors.T @ y)[None] ** 2, times)[0]
    flow = integrate.solve_ivp(
        lambda _, r: -kernel @ r, (0, times[-1]), y, t_eval=times, rtol=1e-9, atol=1e-12
    )
    assert np.allclose(curve, (flow.y**2).sum(axis=0) / (y @ y), rtol=1e-5, atol=1e-9)
