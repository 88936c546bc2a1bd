"""One-dimensional digits by the recipe of the package `mnist1d`, many at a time and from a given stream.

The package makes one digit at a time from NumPy's global random state; here all digits of a chunk are made
together, some fifty times faster, from a generator. Templates and constants are the package's own.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from widthwise.data.stream import Batch
from widthwise.data.targets import class_targets
from widthwise.study.settings import Loss

CLASSES, FIRST_CHUNK = 10, 4096
BARELY = 1e-8  # added to templates, so that the zeros of the padding can be told from theirs
BLUR = 2.0  # standard deviation, in samples, of the filter that correlates the noise


class Draws(NamedTuple):
    """The random numbers of each digit, in the order in which the package draws them."""

    padding: Float[np.ndarray, " digit"]
    scale: Float[np.ndarray, " digit"]
    shift: Int[np.ndarray, " digit"]
    correlated: Float[np.ndarray, "digit long"]
    white: Float[np.ndarray, "digit long"]
    shear: Float[np.ndarray, " digit"]


def digit_source(loss: Loss, first: np.random.Generator) -> Callable[[np.random.Generator, int], Batch]:
    """Makes any number of digits from a random stream, standardized as the 4,096 that come from `first`."""
    from mnist1d.data import get_dataset_args, get_templates

    templates, constants = get_templates()["x"], get_dataset_args(as_dict=True)
    assert isinstance(constants, dict)

    def raw(
        rng: np.random.Generator, count: int
    ) -> tuple[Float[np.ndarray, "digit position"], Int[np.ndarray, " digit"]]:
        labels = rng.integers(CLASSES, size=count)
        long = constants["template_len"] + constants["padding"][1]
        draws = Draws(
            rng.random(count),
            rng.random(count),
            rng.integers(constants["max_translation"], size=count),
            rng.standard_normal((count, long)),
            rng.standard_normal((count, long)),
            rng.random(count),
        )
        return drawn_digits(templates[labels], draws, constants), labels

    reference, _ = raw(first, FIRST_CHUNK)
    center, scale = reference.mean(), reference.std()

    def make(rng: np.random.Generator, count: int) -> Batch:
        digits, labels = raw(rng, count)
        return Batch((digits - center) / scale, class_targets(labels, CLASSES, loss))

    return make


def drawn_digits(
    templates: Float[np.ndarray, "digit short"], draws: Draws, constants: dict
) -> Float[np.ndarray, "digit position"]:
    """Templates padded, dilated, scaled, shifted round, blurred with noise, sheared and subsampled."""
    from scipy.ndimage import gaussian_filter1d

    least, most = constants["padding"]
    digits, short = templates.shape
    long = short + most
    lengths = short + least + (draws.padding * (most - least + 1)).astype(int)
    padded = np.zeros((digits, long))
    padded[:, :short] = templates + BARELY
    signal = np.empty((digits, long))
    for length in np.unique(lengths):  # a few dozen lengths, each with its own grid
        rows = lengths == length
        signal[rows] = interpolated(padded[rows, :length], long)
    signal *= 1.0 + constants["scale_coeff"] * (draws.scale[:, None] - 0.5)
    signal = np.take_along_axis(signal, (np.arange(long) - draws.shift[:, None]) % long, axis=1)
    noise = gaussian_filter1d(constants["corr_noise_scale"] * draws.correlated, BLUR, axis=1)
    signal = np.where(signal != 0, signal, noise) + constants["iid_noise_scale"] * draws.white
    shear = constants["shear_scale"] * (draws.shear[:, None] - 0.5)
    return interpolated(signal - shear * np.linspace(-0.5, 0.5, long), constants["final_seq_length"])


def interpolated(values: Float[np.ndarray, "row old"], points: int) -> Float[np.ndarray, "row new"]:
    """Each row linearly interpolated at `points` equally spaced places, the first and last being its ends."""
    old, new = np.linspace(0, 1, values.shape[1]), np.linspace(0, 1, points)
    left = np.clip(np.searchsorted(old, new, side="right") - 1, 0, values.shape[1] - 2)
    slopes = np.diff(values, axis=1) / np.diff(old)
    between = slopes[:, left] * (new - old[left]) + values[:, left]
    between[:, -1] = values[:, -1]
    return between
