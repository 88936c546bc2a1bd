"""Streams over points that are all in memory: a user's arrays, digits, synthetic tasks."""

import math

import numpy as np
from jaxtyping import Float

from widthwise.data.batch_order import probed_batches
from widthwise.data.load import load_points
from widthwise.data.points import Points
from widthwise.data.stream import Batch, Stream
from widthwise.errors import InputError
from widthwise.study import Study


def fixed_stream(study: Study, points: Points | None = None) -> Stream:
    """The given points, or those of `load_points`, as a stream; for convolutional networks the inputs become
    square images.

    **Errors:** `InputError` as in `load_points`, if `training.batch` exceeds the training points, and if
    inputs are no square images where they should be.
    """
    points = load_points(study) if points is None else points
    inputs, targets = points.inputs, points.targets
    if study.network.kind in ("cnn", "resnet"):
        inputs = square_images(inputs)
    held = Batch(inputs[points.train :], targets[points.train :])
    take = lambda numbers: Batch(inputs[numbers], targets[numbers])  # noqa: E731
    found = probed_batches(take, points.train, held, targets.shape[1], study)
    return Stream(*found, points.digest())


def square_images(
    inputs: Float[np.ndarray, "point dimension"],
) -> Float[np.ndarray, "point row column channel"]:
    """Rows of s x s or s x s x 3 numbers as images of s x s pixels with 1 or 3 channels.

    >>> square_images(np.zeros((2, 64))).shape, square_images(np.zeros((1, 12))).shape
    ((2, 8, 8, 1), (1, 2, 2, 3))
    """
    dimension = inputs.shape[1]
    for channels in (1, 3):  # no number is both s^2 and 3 s'^2
        side = math.isqrt(dimension // channels)
        if side * side * channels == dimension:
            return inputs.reshape(len(inputs), side, side, channels)
    raise InputError(
        f"inputs of {dimension} numbers are no square images of 1 or 3 channels: "
        'give x_train s x s or s x s x 3 columns, or set network.kind = "mlp"'
    )
