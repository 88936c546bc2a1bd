"""Which sample is trained on when: a pure function of the study, so that any step can be had at once."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
from jaxtyping import Int

from widthwise.data.stream import Batch, Probes, probes_of
from widthwise.errors import InputError
from widthwise.study import Study
from widthwise.study.settings import TrainingSettings

Take = Callable[[Int[np.ndarray, " sample"]], Batch]
Item = TypeVar("Item")
Batches = Callable[[int], Iterator[Batch]]

# What a random stream of `data.seed` is for; each purpose has its own.
EPOCHS, ONE_PASS, CHOICE, HELD_OUT, ENDLESS = range(10, 15)
WORKERS = min(8, os.cpu_count() or 1)


def stream_rng(seed: int, *key: int) -> np.random.Generator:
    """The random stream of a purpose (and, say, an epoch), independent of all others of the seed."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def probed_batches(
    take: Take, count: int, held: Batch | None, outputs: int, study: Study
) -> tuple[Probes, Batches]:
    """Probes, the first of `count` training samples and then `held`, and batches in the study's order.

    **Arguments:** `take`, the samples of given numbers 0 .. `count` - 1.
    **Errors:** `InputError` as in `offline_batches` and `online_batches`, and if there are no probes.
    """
    if study.data.order == "online":
        batches = online_batches(take, count, study.training)
    else:
        batches = offline_batches(take, count, study)
    shown = min(study.recorded_train_points(), count)
    return probes_of(take(np.arange(shown)) if shown else None, held, outputs), batches


def offline_batches(take: Take, count: int, study: Study) -> Batches:
    """Batches of `count` training points, again and again, each epoch in a random order of its own.

    An epoch ends inside a batch where `batch` does not divide `count`: the batch then goes on with the next
    epoch, and every point is seen equally often. Full-batch optimizers see all points in every step.

    **Arguments:** `take`, the samples of given numbers 0 .. `count` - 1.
    **Errors:** `InputError` if `training.batch` exceeds `count`.
    """
    training, seed = study.training, study.data.seed
    if training.optimizer in ("gd", "gradient_flow"):
        return lambda start: _same(take, count, training.steps - start)
    if training.batch > count:
        more = "or give more points" if study.data.kind == "arrays" else "or raise `data.train`"
        raise InputError(
            f"`training.batch` = {training.batch}: is more than all {count} training points: lower it, {more}"
        )

    def batches(start: int) -> Iterator[Batch]:
        orders: dict[int, np.ndarray] = {}
        for step in range(start, training.steps):
            epochs, places = np.divmod(step * training.batch + np.arange(training.batch), count)
            within = sorted({int(epochs[0]), int(epochs[-1])})
            orders = {
                e: orders[e] if e in orders else stream_rng(seed, EPOCHS, e).permutation(count)
                for e in within
            }
            yield take(np.concatenate([orders[e][places[epochs == e]] for e in within]))

    return batches


def _same(take: Take, count: int, times: int) -> Iterator[Batch]:
    if times > 0:
        batch = take(np.arange(count))
        for _ in range(times):
            yield batch


def online_batches(take: Take, count: int, training: TrainingSettings) -> Batches:
    """Batches of samples 0 .. `count` - 1 in this order, each seen once, made ahead in threads.

    **Errors:** `InputError` saying how many steps are possible if there are too few samples.
    """
    require_samples(count, training)

    def batches(start: int) -> Iterator[Batch]:
        size = training.batch
        numbers = (np.arange(step * size, (step + 1) * size) for step in range(start, training.steps))
        return read_ahead(take, numbers)

    return batches


def require_samples(count: int, training: TrainingSettings) -> None:
    """Raise `InputError` unless `count` samples are enough for every step to have its own."""
    if training.steps * training.batch > count:
        raise InputError(
            f"`training.steps` = {training.steps} with `training.batch` = {training.batch} see "
            f"{training.steps * training.batch} samples once each, and there are {count}: at most "
            f"{count // training.batch} steps are possible"
        )


def read_ahead(take: Callable[[Item], Batch], items: Iterator[Item]) -> Iterator[Batch]:
    """`take` of each of `items` in order, at most one batch more than there are threads being under way.

    Threads end with the iterator; an error in one of them is raised where its batch is due.
    """
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="widthwise-data")
    try:
        under_way: deque[Future[Batch]] = deque(
            pool.submit(take, each) for each in islice(items, WORKERS + 1)
        )
        while under_way:
            yield under_way.popleft().result()
            under_way.extend(pool.submit(take, each) for each in islice(items, 1))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
