"""Images as bytes in, as standardized numbers out."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from widthwise.errors import InputError

REFERENCE_IMAGES = 2000


class Standardization(NamedTuple):
    """Mean and standard deviation of each channel, in units of a byte's steps."""

    mean: Float[np.ndarray, " channel"]
    deviation: Float[np.ndarray, " channel"]

    def apply(
        self, images: UInt8[np.ndarray, "image row column channel"]
    ) -> Float[np.ndarray, "image row column channel"]:
        """Images as float32 of mean 0 and variance 1 in each channel, so that |x|^2 = D on average."""
        values = images.astype(np.float32)
        values -= self.mean.astype(np.float32)
        values /= self.deviation.astype(np.float32)
        return values


def standardization(images: UInt8[np.ndarray, "image row column channel"]) -> Standardization:
    """Of the given images, a channel that does not vary being left at its scale.

    **Errors:** `InputError` if no channel varies.
    """
    # Sums of bytes and of their squares are exact in whole numbers: the same on every machine.
    counts = np.stack([np.bincount(images[..., c].ravel(), minlength=256) for c in range(images.shape[-1])])
    levels, total = np.arange(256), counts[0].sum()
    mean = counts @ levels / total
    deviation = np.sqrt(np.maximum(counts @ levels**2 / total - mean**2, 0.0))
    if not deviation.any():
        raise InputError("the training images are all of one color: nothing can be learned from them")
    return Standardization(mean, np.where(deviation > 0, deviation, 1.0))
