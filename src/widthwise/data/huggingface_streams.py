"""Streams of texts and of images from the package `datasets`."""

import hashlib
from collections.abc import Iterator
from itertools import chain, islice

import numpy as np
from jaxtyping import Int

from widthwise.data.batch_order import probed_batches, read_ahead
from widthwise.data.files import combined_digest, require_memory
from widthwise.data.huggingface import (
    IMAGE_FIELDS,
    LABEL_FIELDS,
    TEXT_FIELDS,
    Row,
    Rows,
    field,
    grouped,
    open_rows,
)
from widthwise.data.image_folder import read_image, require_pillow
from widthwise.data.images import (
    REFERENCE_IMAGES,
    LabeledImages,
    image_stream,
    labeled_batch,
    standardization,
)
from widthwise.data.stream import Batch, Stream, probes_of
from widthwise.data.vocabulary import END_OF_LINE, most_frequent, number_words, words_of
from widthwise.data.windows import window_batch
from widthwise.errors import InputError
from widthwise.study import Study
from widthwise.study.settings import Loss

FIRST_DOCUMENTS = 1000


def huggingface_stream(study: Study) -> Stream:
    """Texts for a transformer, labeled images for other networks; see `texts` and `images`."""
    return texts(study) if study.network.kind == "transformer" else images(study)


def texts(study: Study) -> Stream:
    """Windows of words of documents laid end to end, in shuffled order, "<eos>" after each.

    The vocabulary is that of the first 1,000 documents of training. Held-out windows are the first of a
    validation or test split; without one, of the first training documents, which are then not trained on.
    To start later, a stream is read again from its beginning.

    **Errors:** `InputError` naming the data set if it cannot be read, has no text, or too little.
    """
    data = study.data
    rows = open_rows(study, images=False)
    name = field(rows, TEXT_FIELDS)
    length = data.sequence_length + 1
    leading = _documents(rows.train(), name, rows)  # opened once, for opening may take seconds
    held_documents = None if rows.held else _enough(leading, data.test, length)
    skipped = len(held_documents or [])
    first = list(islice(leading, FIRST_DOCUMENTS))
    known: dict[str, int] = {}
    counts = np.bincount(number_words((f"{text}\n" for text in first), known), minlength=len(known))
    # One name that never occurs makes room for words that come later.
    vocabulary = most_frequent(np.append(counts, 0), [*known, ""], data.vocabulary)
    tokens = dict(zip(known, vocabulary.numbers.tolist(), strict=False))

    def windows(documents: Iterator[str]) -> Iterator[Int[np.ndarray, " token"]]:
        words = chain.from_iterable([*words_of(text), END_OF_LINE] for text in documents)
        numbers = (tokens.get(word, vocabulary.unknown) for word in words)
        while len(window := list(islice(numbers, length))) == length:
            yield np.array(window, np.int32)

    def train() -> Iterator[Int[np.ndarray, " token"]]:
        return windows(islice(_documents(rows.train(), name, rows), skipped, None))

    held_texts = _documents(rows.held(), name, rows) if rows.held else iter(held_documents or [])
    held = _first(windows(held_texts), data.test, "data.test", rows.path)
    digest = combined_digest(rows.digest, hashlib.sha256("\0".join(vocabulary.names).encode()).hexdigest())
    held_out = window_batch(np.stack(held)) if held else None
    outputs = len(vocabulary.names)
    if data.order == "online":
        probes = probes_of(None, held_out, outputs)

        def batches(start: int) -> Iterator[Batch]:
            for group in grouped(train(), start, study.training, rows.path):
                yield window_batch(np.stack(group))

        return Stream(probes, batches, combined_digest(digest, probes.digest()))
    kept = np.stack(_first(train(), data.train, "data.train", rows.path))
    take = lambda numbers: window_batch(kept[numbers])  # noqa: E731
    probes, again = probed_batches(take, len(kept), held_out, outputs, study)
    return Stream(probes, again, combined_digest(digest, probes.digest()))


def images(study: Study) -> Stream:
    """Labeled images, otherwise as those of `image_folder`: standardized by the first 2,000, read ahead.

    Held-out images are the first of a validation or test split; without one, the first of the training
    split, which are then not trained on. To start later, a stream is passed over from its beginning,
    without decoding.

    **Errors:** `InputError` naming the data set or image that cannot be read, or the missing column.
    """
    require_pillow()
    data = study.data
    rows = open_rows(study, images=True)
    image, label = field(rows, IMAGE_FIELDS), field(rows, LABEL_FIELDS)
    classes = getattr(rows.features[label], "num_classes", 0)
    if not classes or classes < 2:
        raise InputError(f"{rows.path}: the column `{label}` does not name two or more classes")
    wanted = data.test + (REFERENCE_IMAGES if data.order == "online" else data.train)
    require_memory(wanted * data.size**2 * 3, f"{wanted} images of {data.size} x {data.size}")

    def read(group: list[Row]) -> tuple[np.ndarray, np.ndarray]:
        decoded = [_decoded(row[image], data.size, rows.path) for row in group]
        return np.array(decoded, np.uint8).reshape(-1, data.size, data.size, 3), _labels(
            group, label, rows, classes
        )

    leading = rows.train()  # opened once, for opening may take seconds
    held_rows = rows.held() if rows.held else leading
    held, held_labels = read(_first(held_rows, data.test, "data.test", rows.path))
    skipped = 0 if rows.held else data.test
    if data.order == "offline":
        kept, labels = read(_first(leading, data.train, "data.train", rows.path))
        pixels, numbers = np.concatenate([kept, held]), np.arange(len(kept) + len(held))
        return image_stream(
            LabeledImages(
                lambda chosen: pixels[chosen],
                np.concatenate([labels, held_labels]),
                numbers[: len(kept)],
                numbers[len(kept) :],
                classes,
                rows.digest,
                data.size,
            ),
            study,
        )
    reference, _ = read(list(islice(leading, REFERENCE_IMAGES)))
    scale = standardization(reference)
    answer: tuple[int, Loss] = (classes, study.training.loss)
    held_out = labeled_batch(held, held_labels, scale, answer)
    probes = probes_of(None, held_out, held_out.answers.shape[1])

    def batches(start: int) -> Iterator[Batch]:
        later = islice(rows.train(), skipped, None)
        groups = grouped(later, start, study.training, rows.path)
        return read_ahead(lambda group: labeled_batch(*read(group), scale, answer), groups)

    return Stream(probes, batches, combined_digest(rows.digest, probes.digest()))


def _documents(rows: Iterator[Row], name: str, source: Rows) -> Iterator[str]:
    for row in rows:
        text = row[name]
        if not isinstance(text, str):
            raise InputError(f"{source.path}: the column `{name}` holds {type(text).__name__}, no text")
        yield text


def _enough(documents: Iterator[str], windows: int, length: int) -> list[str]:
    """The first documents, as many as make so many windows."""
    found, words = [], 0
    while words < windows * length and (text := next(documents, None)) is not None:
        found.append(text)
        words += len(words_of(text)) + 1
    return found


def _first(samples: Iterator, count: int, key: str, path: str) -> list:
    found = list(islice(samples, count))
    if len(found) < count:
        raise InputError(f"`{key}` = {count}: {path} has only {len(found)} samples for it; lower it")
    return found


def _labels(group: list[Row], label: str, rows: Rows, classes: int) -> Int[np.ndarray, " image"]:
    labels = [row[label] for row in group]
    for value in labels:
        if not isinstance(value, int) or not 0 <= value < classes:
            raise InputError(f"{rows.path}: an image has the label {value}; classes are 0 to {classes - 1}")
    return np.array(labels, int)


def _decoded(image: Row, size: int, path: str) -> np.ndarray:
    name = f"{path}: {image.get('path') or 'an image'}"
    content = image.get("bytes")
    if content is None:
        import fsspec

        try:
            with fsspec.open(image["path"], "rb") as file:
                content = file.read()  # pyright: ignore[reportAttributeAccessIssue]
        except Exception as error:
            raise InputError(f"{name}: cannot be read: {error}") from None
    return read_image(content, size, name)
