"""Streams that never end: synthetic tasks and one-dimensional digits, made chunk by chunk."""

from collections.abc import Callable, Iterator

import numpy as np

from widthwise.data.batch_order import ENDLESS, HELD_OUT, probed_batches, stream_rng
from widthwise.data.mnist1d import digit_source
from widthwise.data.stream import Batch, Stream, probes_of
from widthwise.data.synthetic import synthetic_points, synthetic_task
from widthwise.study import Study

LARGEST_CHUNK = 4096
CHUNK_NUMBERS = 2**22

Make = Callable[[np.random.Generator, int], Batch]  # so many samples from a random stream


def synthetic_stream(study: Study) -> Stream:
    """A synthetic task, online: every sample new, held-out points those of the offline task.

    The task is a function of `data.seed` and the same as that of `synthetic_points`.

    **Errors:** `InputError` as in `synthetic_points`.
    """
    data = study.data
    points = synthetic_points(data, study.training.loss)
    held = Batch(points.inputs[points.train :], points.targets[points.train :])
    task = synthetic_task(data, study.training.loss)

    def make(rng: np.random.Generator, count: int) -> Batch:
        return Batch(*task(rng.standard_normal((count, data.dimension + 1))))

    probes = probes_of(None, held, points.targets.shape[1])
    return Stream(probes, chunked_batches(make, study), probes.digest())


def mnist1d_stream(study: Study) -> Stream:
    """One-dimensional digits: 40 numbers each, ten classes, of zero mean and unit variance.

    Center and scale are those of the first chunk, for good. Offline, the training points are the first
    `data.train` samples of the online stream; held-out points come from a random stream of their own.

    **Source:** S. Greydanus, D. Kobak, Scaling down deep learning with MNIST-1D (2024).
    """
    data = study.data
    make = digit_source(study.training.loss, stream_rng(data.seed, ENDLESS, 0))
    held = make(stream_rng(data.seed, HELD_OUT), data.test) if data.test else None
    if data.order == "online":
        probes = probes_of(None, held, 10)
        return Stream(probes, chunked_batches(make, study), probes.digest())
    chunks = -(-data.train // LARGEST_CHUNK)
    parts = [make(stream_rng(data.seed, ENDLESS, chunk), LARGEST_CHUNK) for chunk in range(chunks)]
    inputs, answers = (np.concatenate(each)[: data.train] for each in zip(*parts, strict=True))
    take = lambda numbers: Batch(inputs[numbers], answers[numbers])  # noqa: E731
    probes, batches = probed_batches(take, data.train, held, answers.shape[1], study)
    return Stream(probes, batches, probes.digest())


def chunked_batches(make: Make, study: Study) -> Callable[[int], Iterator[Batch]]:
    """Batches of an endless row of samples; chunk k of it comes from random stream k of `data.seed`."""
    dimension = study.data.dimension if study.data.kind == "synthetic" else 1
    rows = max(1, min(LARGEST_CHUNK, CHUNK_NUMBERS // (dimension + 1)))
    size, seed = study.training.batch, study.data.seed

    def batches(start: int) -> Iterator[Batch]:
        kept: dict[int, Batch] = {}
        for first in range(start * size, study.training.steps * size, size):
            wanted = range(first // rows, (first + size - 1) // rows + 1)
            kept = {k: kept[k] if k in kept else make(stream_rng(seed, ENDLESS, k), rows) for k in wanted}
            begin = first - wanted[0] * rows
            rows_of_step = slice(begin, begin + size)
            yield Batch(
                _joined([kept[k].inputs for k in wanted])[rows_of_step],
                _joined([kept[k].answers for k in wanted])[rows_of_step],
            )

    return batches


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Without a copy where there is nothing to join, as for most batches."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
