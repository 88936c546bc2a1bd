"""Streams of labeled images, from whatever reads them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8

from widthwise.data.batch_order import (
    CHOICE,
    HELD_OUT,
    WORKERS,
    probed_batches,
    stream_rng,
)
from widthwise.data.digits import shares
from widthwise.data.files import combined_digest, require_memory
from widthwise.data.stream import Batch, Stream
from widthwise.data.targets import class_targets
from widthwise.errors import InputError
from widthwise.study import Study
from widthwise.study.settings import DataSettings, Loss

READ_TOGETHER = 64
REFERENCE_IMAGES = 2000
Numbers = Int[np.ndarray, "_"]


@dataclass(frozen=True)
class LabeledImages:
    """Numbered images that can be read in any order, from several threads.

    **Fields:** `read`, bytes of the images of given numbers; `labels` of all of them, 0 .. `classes` - 1;
    `train`, the numbers of training images in the order in which a stream takes them; `held`, those of
    held-out ones, disjoint from `train`; `digest`, content hash of the files; `size`, pixels of a side.
    """

    read: Callable[[Numbers], UInt8[np.ndarray, "image row column 3"]]
    labels: Numbers
    train: Numbers
    held: Numbers
    classes: int
    digest: str
    size: int


def image_stream(images: LabeledImages, study: Study) -> Stream:
    """Images standardized channel by channel, as they are read or, offline, from memory.

    Means and deviations are those of the first 2,000 training images in the order of the stream (of all, if
    they are fewer) for good; so |x|^2 = D on average. Online, images are read ahead in threads.

    **Returns:** inputs float32 (sample, row, column, 3), targets float32 as in `class_targets`.
    **Errors:** `InputError` if there are too few images or too little memory, or for what `read` finds.
    """
    loss, train = study.training.loss, images.train
    online = study.data.order == "online"
    kept = images.held if online else np.concatenate([train, images.held])
    require_memory(len(kept) * images.size**2 * 3, f"{len(kept)} images of {images.size} x {images.size}")
    held = read_together(images, images.held)
    pixels = read_together(images, train[:REFERENCE_IMAGES] if online else train)
    scale = standardization(pixels[:REFERENCE_IMAGES])

    def take(numbers: Numbers) -> Batch:
        read = images.read(train[numbers]) if online else pixels[numbers]
        return labeled_batch(read, images.labels[train[numbers]], scale, (images.classes, loss))

    held_out = labeled_batch(held, images.labels[images.held], scale, (images.classes, loss))
    probes, batches = probed_batches(take, len(train), held_out, held_out.answers.shape[1], study)
    return Stream(probes, batches, combined_digest(images.digest, probes.digest()))


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


def labeled_batch(
    images: UInt8[np.ndarray, "image row column 3"],
    labels: Numbers,
    scale: Standardization,
    answer: tuple[int, Loss],
) -> Batch:
    """Standardized images with the targets of their labels; `answer` is (classes, loss)."""
    classes, loss = answer
    return Batch(scale.apply(images), class_targets(labels, classes, loss).astype(np.float32))


def read_together(images: LabeledImages, numbers: Numbers) -> UInt8[np.ndarray, "image row column 3"]:
    """Many images at once, in threads."""
    found = np.empty((len(numbers), images.size, images.size, 3), np.uint8)

    def fill(begin: int) -> None:
        found[begin : begin + READ_TOGETHER] = images.read(numbers[begin : begin + READ_TOGETHER])

    with ThreadPoolExecutor(WORKERS, thread_name_prefix="widthwise-data") as pool:
        for _ in pool.map(fill, range(0, len(numbers), READ_TOGETHER)):
            pass
    return found


def choose_images(labels: Numbers, held_labels: Numbers | None, study: Study) -> tuple[Numbers, Numbers]:
    """Numbers of training and held-out images, by `data.seed`, classes as equally frequent as can be.

    Held-out images are chosen first, so that they do not depend on how many are trained on. Online, all
    others are trained on, in a random order.

    **Arguments:** `labels` of the images that may be trained on; `held_labels` of those held out, counted on
    from the former, or none: then held-out images are taken from among the former.
    **Errors:** `InputError` with the number available if there are too few.
    """
    data = study.data
    chance = stream_rng(data.seed, HELD_OUT)
    if held_labels is None:
        held = _balanced(labels, np.arange(len(labels)), "test", data, chance)
    else:
        numbers = len(labels) + np.arange(len(held_labels))
        held = _balanced(held_labels, numbers, "test", data, chance)
    rest = np.setdiff1d(np.arange(len(labels)), held)
    chance = stream_rng(data.seed, CHOICE)
    if data.order == "online":
        return chance.permutation(rest), held
    return _balanced(labels[rest], rest, "train", data, chance), held


def _balanced(
    labels: Numbers, numbers: Numbers, key: str, data: DataSettings, chance: np.random.Generator
) -> Numbers:
    wanted: int = getattr(data, key)
    if wanted > len(labels):
        held = f" beside `data.test` = {data.test}" if key == "train" else ""
        found = f"{data.path} has {len(labels)} images for it{held}"
        raise InputError(f"`data.{key}` = {wanted}: {found}; lower it")
    available = np.bincount(labels) if len(labels) else np.zeros(1, int)
    own = [chance.permutation(numbers[labels == label]) for label in range(len(available))]
    taken = [each[:n] for each, n in zip(own, shares(wanted, available), strict=True)]
    return chance.permutation(np.concatenate(taken))
