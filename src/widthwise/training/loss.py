"""The losses a network may be trained on, over the points of one split."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from widthwise.study import TrainingSettings


def total_loss(
    output: Float[Array, "point *position output"],
    answer: Num[Array, "point _"],
    training: TrainingSettings,
) -> Float[Array, ""]:
    r"""Loss over the given points: their sum, or their mean if `reduction` is "mean".

    $$\ell_{mse} = \tfrac12 \sum_c (y_c - f_c)^2, \qquad \ell_{ce} = -\sum_c y_c \log softmax(f)_c$$

    **Arguments:** `output`, centered if the study centers; `answer`, targets y (for cross-entropy a
    probability for each class) or, of texts, the next tokens.

    >>> total_loss(jnp.array([[1.0], [3.0]]), jnp.zeros((2, 1)), TrainingSettings(reduction="mean")).item()
    2.5
    """
    each = example_losses(output, answer, training)
    return each.mean() if training.reduction == "mean" else jnp.sum(each)


def example_losses(
    output: Float[Array, "point *position output"],
    answer: Num[Array, "point _"],
    training: TrainingSettings,
) -> Float[Array, " point"]:
    """The loss of every point; for tokens, which are the next ones, its mean over positions."""
    if jnp.issubdtype(answer.dtype, jnp.integer):
        chosen = jnp.take_along_axis(output, answer[..., None], axis=-1)[..., 0]
        return (jax.nn.logsumexp(output, axis=-1) - chosen).mean(axis=-1)
    if training.loss == "mse":
        return (0.5 * (answer - output) ** 2).sum(axis=-1)
    return (-answer * jax.nn.log_softmax(output)).sum(axis=-1)
