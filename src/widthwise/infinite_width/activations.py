"""Activations of the theory and their derivatives, elementwise."""

from collections.abc import Callable
from math import pi, sqrt

import jax
import jax.numpy as jnp
from jax.scipy.special import erf, ndtr
from jaxtyping import Array, Float

from widthwise.study import NetworkSettings

Elementwise = Callable[[Float[Array, "..."]], Float[Array, "..."]]

# Half-width of the Gaussian that stands for the delta function in the derivative of a step. It enters
# responses only, where it is averaged over sites: bias O(width^2), noise O(1 / (sites width)).
STEP_WIDTH = 0.1


@jax.custom_jvp
def unit_step(h: Float[Array, "..."]) -> Float[Array, "..."]:
    """1 where h > 0, else 0; its derivative is a normal density of standard deviation `STEP_WIDTH`.

    Population averages of a step are smooth in what moves the sites although each site's step is not;
    the derivative by automatic differentiation alone, zero, would miss the sites that cross.
    """
    return (h > 0).astype(h.dtype)


@unit_step.defjvp
def _unit_step_jvp(primals, tangents):
    (h,), (tangent,) = primals, tangents
    density = jnp.exp(-0.5 * (h / STEP_WIDTH) ** 2) / (STEP_WIDTH * sqrt(2 * pi))
    return unit_step(h), density * tangent


@jax.custom_jvp
def ramp(h: Float[Array, "..."]) -> Float[Array, "..."]:
    """max(h, 0); its derivative is `unit_step`, so that its second derivative does not miss the kink."""
    return h * (h > 0)


@ramp.defjvp
def _ramp_jvp(primals, tangents):
    (h,), (tangent,) = primals, tangents
    return ramp(h), unit_step(h) * tangent


ACTIVATIONS: dict[str, tuple[Elementwise, Elementwise]] = {
    "linear": (lambda h: h, jnp.ones_like),
    "relu": (ramp, unit_step),
    "tanh": (jnp.tanh, lambda h: 1.0 - jnp.tanh(h) ** 2),
    "erf": (erf, lambda h: (2 / sqrt(pi)) * jnp.exp(-(h**2))),
    "gelu": (lambda h: h * ndtr(h), lambda h: ndtr(h) + h * jnp.exp(-0.5 * h**2) / sqrt(2 * pi)),
    "softplus": (jax.nn.softplus, jax.nn.sigmoid),
}


def activation_and_slope(network: NetworkSettings) -> tuple[Elementwise, Elementwise]:
    """phi(h) = g act(a h) / a and its derivative g act'(a h), with a the scale and g the gain."""
    act, slope = ACTIVATIONS[network.activation]
    scale, gain = network.activation_scale, network.activation_gain
    if network.activation == "relu":
        scale = 1.0  # any scale is the same function, but would change the half-width of its step
    return lambda h: (gain / scale) * act(scale * h), lambda h: gain * slope(scale * h)
