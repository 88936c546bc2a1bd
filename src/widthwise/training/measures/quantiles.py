"""How preactivations are distributed over the neurons of a layer."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from widthwise.networks.trace import Trace
from widthwise.records.schema import QUANTILE_LEVELS


def preactivation_quantiles(
    trace: Trace, names: tuple[str, ...], levels: tuple[float, ...] = QUANTILE_LEVELS
) -> Float[Array, "layer point quantile"]:
    """Quantiles of the preactivations of each named layer at each point, neurons and positions pooled.

    O(1) in width in mean-field parametrization. Of n independent pooled values, the quantile at level q has
    standard error sqrt(q (1 - q) / n) over the density there and a bias of order 1/n; levels within about
    2 / (3 n) of an end give the extreme value. Whatever the distribution, the estimate's median is close to
    the quantile.

    **Source:** Hyndman and Fan (1996), Sample quantiles in statistical packages, definition 8.
    """
    pooled = [jnp.reshape(trace.layers[name].preactivation, (len(trace.output), -1)) for name in names]
    return jnp.stack([_quantiles(values, levels) for values in pooled])


def _quantiles(
    values: Float[Array, "point value"], levels: tuple[float, ...]
) -> Float[Array, "point quantile"]:
    count = values.shape[1]
    # Counted from 0: (count + 1/3) q + 1/3 is the place counted from 1.
    place = np.clip((count + 1 / 3) * np.array(levels) - 2 / 3, 0, count - 1)
    below = np.floor(place).astype(np.int32)
    above = np.minimum(below + 1, count - 1)
    part = jnp.asarray(place - below, values.dtype)
    ordered = jnp.sort(values, axis=1)
    return (1 - part) * ordered[:, below] + part * ordered[:, above]
