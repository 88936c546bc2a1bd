"""The losses a network may be trained on, over the points of one split."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from widthwise.study import TrainingSettings


def total_loss(
    prediction: Float[Array, "point output"],
    target: Float[Array, "point output"],
    training: TrainingSettings,
) -> Float[Array, ""]:
    r"""Loss over the given points: their sum, or their mean if `reduction` is "mean".

    $$\ell_{mse} = \tfrac12 \sum_c (y_c - f_c)^2, \qquad \ell_{ce} = -\sum_c y_c \log softmax(f)_c$$

    **Arguments:** `prediction`, centered if the study centers; `target`, for cross-entropy a probability
    for each class.

    >>> total_loss(jnp.array([[1.0], [3.0]]), jnp.zeros((2, 1)), TrainingSettings(reduction="mean")).item()
    2.5
    """
    if training.loss == "mse":
        losses = 0.5 * (target - prediction) ** 2
    else:
        losses = -target * jax.nn.log_softmax(prediction)
    each = losses.sum(1)
    return each.mean() if training.reduction == "mean" else jnp.sum(each)
