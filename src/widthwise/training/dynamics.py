"""One step of training: every weight moves by eta gamma^2 N times minus its gradient."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from widthwise.networks import MLP, Feedback, activation, feedback_fields, preactivations, predict
from widthwise.study import TrainingSettings

Velocity = Callable[[MLP], MLP]

# Classical Runge-Kutta: each stage starts from the last stage's velocity times its reach, and the four
# velocities are averaged with these weights.
REACHES = (0.0, 0.5, 0.5, 1.0)
WEIGHTS = (1 / 6, 1 / 3, 1 / 3, 1 / 6)


def velocity_of(loss: Callable[[MLP], Float[Array, ""]]) -> Velocity:
    r"""How fast every weight moves, per unit of eta times steps.

    $$V(W) = -\gamma^2 N \, \partial L / \partial W$$

    The factor makes features and predictions move by O(1) at every width and richness.
    """

    def velocity(model: MLP) -> MLP:
        factor = -(model.settings.richness**2) * model.width
        return jax.tree.map(lambda slope: factor * slope, jax.grad(loss)(model))

    return velocity


def velocity_by_feedback(
    loss: Callable[[Float[Array, "point output"]], Float[Array, ""]],
    inputs: Float[Array, "point dimension"],
    feedback: Feedback,
) -> Velocity:
    r"""The same when errors travel back through `feedback`; `loss` is a function of the predictions.

    $$V(W^l) = \gamma \sum_{mc} \Delta_{mc} \tilde g^{l+1}_{mc} \phi(h^l_m)^T / \sqrt{N}, \qquad
      V(w_c) = \gamma \sum_m \Delta_{mc} \phi(h^L_m), \qquad \Delta = -\partial L / \partial f$$

    with the inputs and $\sqrt{D}$ in the first layer. With the true backward fields it is `velocity_of`.
    """

    def velocity(model: MLP) -> MLP:
        phi, gamma = activation(model.settings), model.settings.richness
        fields = preactivations(model, inputs)
        features = [inputs, *(phi(h) for h in fields)]
        residual = -jax.grad(loss)(predict(model, inputs))
        pulled = feedback_fields(feedback, model.settings, fields, residual)
        hidden = [
            gamma * g.T @ x / jnp.sqrt(x.shape[1]).astype(x.dtype)
            for g, x in zip(pulled, features[:-1], strict=True)
        ]
        return MLP(tuple(hidden), gamma * residual.T @ features[-1], model.settings)

    return velocity


def advance(model: MLP, velocity: Velocity, training: TrainingSettings) -> MLP:
    """The network one step later.

    "gd" is one explicit step, W + eta V(W). "gradient_flow" follows dW/dtau = V(W) from tau to tau + eta in
    `substeps` classical Runge-Kutta steps of eta / substeps; its error falls as substeps^-4.
    """
    if training.optimizer == "gd":
        return _moved(model, velocity(model), training.learning_rate)
    length = training.learning_rate / training.substeps
    return jax.lax.fori_loop(0, training.substeps, lambda _, m: _runge_kutta(m, velocity, length), model)


def _runge_kutta(model: MLP, velocity: Velocity, length: float) -> MLP:
    """One step of `length`. The stages are a scan so that the gradient is compiled once, not four times."""
    dtype = model.readout.dtype
    stages = jnp.array(REACHES, dtype) * length, jnp.array(WEIGHTS, dtype) * length

    def stage(carry: tuple[MLP, MLP], scales: tuple[Array, Array]) -> tuple[tuple[MLP, MLP], None]:
        last, result = carry
        reach, weight = scales
        slope = velocity(_moved(model, last, reach))
        return (slope, _moved(result, slope, weight)), None

    still = jax.tree.map(jnp.zeros_like, model)
    return jax.lax.scan(stage, (still, model), stages)[0][1]


def _moved(model: MLP, direction: MLP, length: float | Float[Array, ""]) -> MLP:
    return jax.tree.map(lambda w, d: w + length * d, model, direction)
