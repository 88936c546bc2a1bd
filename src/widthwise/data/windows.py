"""Streams of windows of a text that is in memory as tokens."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from widthwise.data.batch_order import CHOICE, HELD_OUT, probed_batches, stream_rng
from widthwise.data.files import combined_digest
from widthwise.data.stream import Batch, Stream
from widthwise.data.vocabulary import most_frequent
from widthwise.errors import InputError
from widthwise.study import Study


class Text(NamedTuple):
    """`tokens`, each the number of one of `names`; the first `train` are trained on, others held out. If
    `train` is none, the last windows of the text are held out."""

    tokens: Int[np.ndarray, " position"]
    names: list[str]
    train: int | None
    digest: str


def window_stream(text: Text, study: Study) -> Stream:
    """Windows of `sequence_length` + 1 tokens, none overlapping: inputs are all but the last of a window,
    answers all but the first.

    The vocabulary is that of the training part. Offline, `data.train` windows are drawn by `data.seed` and
    used again and again; online, each window is seen once, in random order. `data.test` windows are drawn
    from the held-out part.

    **Returns:** inputs and answers int32 (sample, position); `outputs`, the number of different tokens.
    **Errors:** `InputError` with the number available if there are too few windows; if there is but one word.
    """
    data = study.data
    source, length = data.path or "the help of this Python", data.sequence_length + 1
    split = text.train
    if split is None:
        split = max(0, len(text.tokens) // length - data.test) * length
    counts = np.bincount(text.tokens[:split], minlength=len(text.names))
    vocabulary = most_frequent(counts, text.names, data.vocabulary)
    tokens = vocabulary.numbers[text.tokens]
    train, held = (_windows(part, length) for part in (tokens[:split], tokens[split:]))
    chance = stream_rng(data.seed, CHOICE)
    online = data.order == "online"
    for key, number, windows in (("data.test", data.test, held), ("data.train", data.train, train)):
        if number > len(windows) and not (online and key == "data.train"):
            raise InputError(
                f"`{key}` = {number}: {source} has {len(windows)} windows of {length} tokens for it; lower "
                "it or `data.sequence_length`, or give more text"
            )
    if len(vocabulary.names) == 1:
        raise InputError(
            f"{source}: all of the text to train on is {vocabulary.names[0]!r}, so that there is nothing to "
            "predict; give another text"
        )
    chosen = chance.permutation(len(train))[: None if online else data.train]
    held_out = stream_rng(data.seed, HELD_OUT).permutation(len(held))[: data.test]
    take = lambda numbers: window_batch(train[chosen[numbers]])  # noqa: E731
    outputs = len(vocabulary.names)
    probes, batches = probed_batches(take, len(chosen), window_batch(held[held_out]), outputs, study)
    return Stream(probes, batches, combined_digest(text.digest, probes.digest()))


def window_batch(windows: Int[np.ndarray, "sample token"]) -> Batch:
    """Tokens to read and, at each position, the token that comes next."""
    return Batch(np.ascontiguousarray(windows[:, :-1]), np.ascontiguousarray(windows[:, 1:]))


def _windows(tokens: Int[np.ndarray, " position"], length: int) -> Int[np.ndarray, "window token"]:
    count = len(tokens) // length
    return tokens[: count * length].reshape(count, length)
