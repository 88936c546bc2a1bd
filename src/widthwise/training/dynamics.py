"""What moves weights besides gradients and optimizers: gradient flow, and errors through frozen feedback."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from widthwise.networks import MLP, Feedback, activation, feedback_fields, preactivations

Tree = Any
Number = float | Float[Array, ""]

# Classical Runge-Kutta: each stage starts from the last stage's velocity times its reach, and the four
# velocities are averaged with these weights.
REACHES = (0.0, 0.5, 0.5, 1.0)
WEIGHTS = (1 / 6, 1 / 3, 1 / 3, 1 / 6)


def flow(weights: Tree, velocity: Callable[[Tree], Tree], time: Number, substeps: int) -> Tree:
    """The weights a `time` later on dW/dtau = velocity(W), by `substeps` classical Runge-Kutta steps.

    The error falls as substeps^-4.
    """
    length = time / substeps
    return jax.lax.fori_loop(0, substeps, lambda _, w: _runge_kutta(w, velocity, length), weights)


def _runge_kutta(weights: Tree, velocity: Callable[[Tree], Tree], length: Number) -> Tree:
    """One step of `length`. The stages are a scan so that the gradient is compiled once, not four times."""
    dtype = jax.tree.leaves(weights)[0].dtype
    stages = jnp.array(REACHES, dtype) * length, jnp.array(WEIGHTS, dtype) * length

    def stage(carry: tuple[Tree, Tree], scales: tuple[Array, Array]) -> tuple[tuple[Tree, Tree], None]:
        last, result = carry
        reach, weight = scales
        slope = velocity(_moved(weights, last, reach))
        return (slope, _moved(result, slope, weight)), None

    still = jax.tree.map(jnp.zeros_like, weights)
    return jax.lax.scan(stage, (still, weights), stages)[0][1]


def _moved(weights: Tree, direction: Tree, length: Number) -> Tree:
    return jax.tree.map(lambda w, d: w + length * d, weights, direction)


def feedback_gradient(
    model: MLP,
    feedback: Feedback,
    inputs: Float[Array, "point dimension"],
    pull: Float[Array, "point output"],
) -> MLP:
    r"""What stands for the gradient of the loss when errors travel back through `feedback`.

    $$D(W^l) = \frac{1}{\gamma N} \sum_{mc} p_{mc} \tilde g^{l+1}_{mc} \phi(h^l_m)^T / \sqrt{N}, \qquad
      D(w_c) = \frac{1}{\gamma N} \sum_m p_{mc} \phi(h^L_m), \qquad p = \partial L / \partial f$$

    with the inputs and $\sqrt{D}$ in the first layer; `pull` is p. With the true backward fields it is the
    gradient.
    """
    phi, unit = activation(model.settings), 1 / (model.settings.richness * model.width)
    fields = preactivations(model, inputs)
    features = [inputs, *(phi(h) for h in fields)]
    pulled = feedback_fields(feedback, model.settings, fields, pull)
    hidden = [
        unit * g.T @ x / jnp.sqrt(x.shape[1]).astype(x.dtype)
        for g, x in zip(pulled, features[:-1], strict=True)
    ]
    return MLP(tuple(hidden), unit * pull.T @ features[-1], model.settings)
