"""Derivatives of the activations: of kinks, too, once averaged over sites."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import norm

from widthwise.infinite_width.activations import STEP_WIDTH, activation_of
from widthwise.study import NetworkSettings

ACTIVATIONS = ("linear", "relu", "tanh", "erf", "gelu", "softplus")
SITES = 4096


def derivatives(network, shift):
    """Mean over h ~ N(0, 1) of phi and of its first two derivatives, at h + shift."""

    def first(at):
        return jax.jvp(activation.value, (at,), (jnp.ones_like(at),))[1]

    with jax.enable_x64(True):
        activation = activation_of(network)
        h = jnp.asarray(ndtri((np.arange(SITES) + 0.5) / SITES)) + shift
        second = jax.jvp(first, (h,), (jnp.ones_like(h),))[1]
        return [float(np.mean(x)) for x in (activation.value(h), first(h), activation.slope(h), second)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_first_derivative_is_the_slope(activation):
    network = NetworkSettings(activation=activation, activation_scale=1.5, activation_gain=0.7)
    _, first, slope, _ = derivatives(network, 0.3)
    np.testing.assert_allclose(first, slope, rtol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_mean_second_derivative_is_that_of_the_mean(activation):
    """Central differences of <phi'(h + shift)>; a lost kink of relu would make 100 % of it."""
    network = NetworkSettings(activation=activation, activation_scale=1.5, activation_gain=0.7)
    step = 0.05
    above, below = (derivatives(network, 0.3 + s)[2] for s in (step, -step))
    second = derivatives(network, 0.3)[3]
    np.testing.assert_allclose(second, (above - below) / (2 * step), rtol=0.02, atol=1e-12)


def test_the_second_derivative_of_relu_is_the_density_at_the_kink():
    second = derivatives(NetworkSettings(activation="relu"), 0.3)[3]
    np.testing.assert_allclose(second, norm.pdf(0.3, scale=np.sqrt(1 + STEP_WIDTH**2)), rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_scale_of_relu_changes_nothing(scale):
    plain, scaled = (
        derivatives(NetworkSettings(activation="relu", activation_scale=a), 0.3) for a in (1.0, scale)
    )
    assert plain == scaled
