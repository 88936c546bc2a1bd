"""Activations of the theory and their derivatives, elementwise."""

from collections.abc import Callable
from math import pi, sqrt

import equinox as eqx
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


class Activation(eqx.Module):
    """phi(h) = g act(a h) / a, with a the scale and g the gain; only the name shapes a compiled program."""

    scale: Float[Array, ""]
    gain: Float[Array, ""]
    name: str = eqx.field(static=True)

    def value(self, h: Float[Array, "..."]) -> Float[Array, "..."]:
        """phi(h), in the precision of h."""
        scale, gain = self.scale.astype(h.dtype), self.gain.astype(h.dtype)
        return (gain / scale) * ACTIVATIONS[self.name][0](scale * h)

    def slope(self, h: Float[Array, "..."]) -> Float[Array, "..."]:
        """phi'(h) = g act'(a h)."""
        return self.gain.astype(h.dtype) * ACTIVATIONS[self.name][1](self.scale.astype(h.dtype) * h)


def activation_of(network: NetworkSettings) -> Activation:
    """That of a network's neurons."""
    # Any scale of relu is the same function, but would change the half-width of its step.
    scale = 1.0 if network.activation == "relu" else network.activation_scale
    return Activation(
        jnp.asarray(scale, dtype=float), jnp.asarray(network.activation_gain, dtype=float), network.activation
    )
