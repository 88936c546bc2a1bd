"""Order parameters, and losses of outputs: what every solver of the theory returns and reads."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


class OrderParameters(NamedTuple):
    """Population averages at the recorded steps; equal times; order 1 in N. Kernels: mean over outputs."""

    prediction: Float[Array | np.ndarray, "step point output"]
    loss: Float[Array | np.ndarray, "step split"]
    feature_kernel: Float[Array | np.ndarray, "step layer point point"]
    gradient_kernel: Float[Array | np.ndarray, "step layer point point"]
    tangent_kernel: Float[Array | np.ndarray, "step point point"]


def loss_residual(
    targets: Float[Array, "point output"], prediction: Float[Array, "point output"], loss: str
) -> Float[Array, "point output"]:
    """Delta = -dLoss/df: y - f for the squared error, y - softmax(f) for the cross-entropy."""
    return targets - (prediction if loss == "mse" else jax.nn.softmax(prediction))


def loss_per_point(
    targets: Float[Array, "point output"], prediction: Float[Array, "*extra point output"], loss: str
) -> Float[Array, "*extra point"]:
    """Half the squared error, or the cross-entropy, summed over outputs."""
    if loss == "mse":
        return 0.5 * jnp.sum((targets - prediction) ** 2, axis=-1)
    return -jnp.sum(targets * jax.nn.log_softmax(prediction), axis=-1)


def split_losses(
    per_point: Float[Array, "*extra point"], train: int, mean_loss: bool
) -> Float[Array, "*extra split"]:
    """Per-point losses reduced over training points and, if there are any, over test points."""
    reduce = jnp.mean if mean_loss else jnp.sum
    splits = [per_point[..., :train], per_point[..., train:]]
    return jnp.stack([reduce(part, axis=-1) for part in splits if part.shape[-1]], axis=-1)
