"""The nonlinearities a finite network may have, by the names of the study file."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from widthwise.study import NetworkSettings

Elementwise = Callable[[Float[Array, "*shape"]], Float[Array, "*shape"]]

ACTIVATIONS: dict[str, Elementwise] = {
    "linear": lambda h: h,
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "erf": jax.scipy.special.erf,
    "gelu": lambda h: jax.nn.gelu(h, approximate=False),
    "softplus": jax.nn.softplus,
}


def activation(network: NetworkSettings) -> Elementwise:
    """The elementwise nonlinearity of a network.

    $$\\phi(h) = g \\, act(a h) / a$$

    with a = `activation_scale` and g = `activation_gain`; the gelu is the exact one, h times the normal
    distribution function, and relu has derivative 0 at 0.

    >>> float(activation(NetworkSettings(activation="relu", activation_gain=2.0))(jnp.array(1.5)))
    3.0
    """
    act, scale, gain = ACTIVATIONS[network.activation], network.activation_scale, network.activation_gain
    return lambda h: gain * act(scale * h) / scale


def derivative(phi: Elementwise, h: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """phi'(h), elementwise, by automatic differentiation."""
    return jax.jvp(phi, (h,), (jnp.ones_like(h),))[1]
