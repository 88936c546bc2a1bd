"""Perceptrons with given weights, drawn as training draws them."""

import jax
import jax.numpy as jnp
import numpy as np

from widthwise.networks import MLP


def initialize(key, settings, sizes, dtype=jnp.float32):
    """Independent N(0, 1) weights; `sizes` is (dimension D, width N, outputs C)."""
    dimension, width, outputs = sizes
    fan_in = (dimension,) + (width,) * (settings.hidden_layers - 1)
    shapes = [(width, n) for n in fan_in] + [(outputs, width)]
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    parts = jnp.split(jax.random.normal(key, (int(ends[-1]),), dtype), [int(end) for end in ends[:-1]])
    *hidden, readout = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    return MLP(tuple(hidden), readout, settings)


def predict(model, inputs):
    """The output f at every point, not centered."""
    return model.trace(inputs).output
