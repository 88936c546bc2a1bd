"""Data sets of the package `datasets`: a hub's, streamed, or a folder of local files."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from widthwise.data.files import file_size, files_digest, missing_package
from widthwise.errors import InputError
from widthwise.study import Study
from widthwise.study.settings import TrainingSettings
from widthwise.study.values import from_home

TEXT_FIELDS, IMAGE_FIELDS, LABEL_FIELDS = (
    ("text", "content"),
    ("image", "img"),
    ("label", "labels", "fine_label"),
)
# The hub's "test" splits often have no labels.
HELD_OUT_SPLITS = ("validation", "valid", "test")
SHUFFLED_TOGETHER = 1000  # rows among which a stream is shuffled

Row = dict[str, Any]


class Rows(NamedTuple):
    """Rows of the training split, shuffled by `data.seed`, and of a held-out one if there is one: functions
    that begin anew each time; `features`, the types of the columns, as far as known."""

    train: Callable[[], Iterator[Row]]
    held: Callable[[], Iterator[Row]] | None
    features: Row
    path: str
    digest: str


def open_rows(study: Study, images: bool) -> Rows:
    """The data set `data.path`, configuration `data.subset`: streamed if online, else kept in the package's
    own cache. Code that comes with a data set is never run.

    **Errors:** `InputError` naming the data set if it cannot be had.
    """
    try:
        import datasets
    except ImportError:
        raise missing_package("datasets", "huggingface") from None

    online = study.data.order == "online"
    local = Path(study.folder) / from_home(study.data.path or "")
    path = str(local.resolve()) if local.is_dir() else study.data.path or ""
    with _silent(), _named(path):
        splits = datasets.load_dataset(path, study.data.subset, streaming=online)
    names = list(splits)
    train = "train" if "train" in names else names[0]
    held = next((name for name in HELD_OUT_SPLITS if name in names and name != train), None)

    def rows_of(split: Any, shuffled: bool) -> Callable[[], Iterator[Row]]:
        rows: Any = splits[split]
        if images:
            for column in IMAGE_FIELDS:
                if column in (rows.features or {}):  # bytes as they are, for our reader names what is damaged
                    rows = rows.cast_column(column, datasets.Image(decode=False))
        if shuffled:
            together = {"buffer_size": SHUFFLED_TOGETHER} if online else {}
            rows = rows.shuffle(seed=study.data.seed, **together)
        return lambda: _checked(rows, path)

    files = sorted(p for p in local.rglob("*") if file_size(p) is not None) if local.is_dir() else []
    features = dict(splits[train].features or next(_checked(splits[train], path), {}))
    return Rows(
        rows_of(train, True),
        rows_of(held, False) if held else None,
        features,
        path,
        files_digest(files, local) if files else path,
    )


def field(rows: Rows, names: tuple[str, ...]) -> str:
    """The first of the columns `names` that the data set has."""
    for name in names:
        if name in rows.features:
            return name
    raise InputError(f"{rows.path}: has the columns {sorted(rows.features)}; one of {list(names)} is needed")


def grouped(samples: Iterator[Any], start: int, training: TrainingSettings, path: str) -> Iterator[list[Any]]:
    """Samples of steps `start` .. `steps` - 1 of a stream, each once; what comes before is passed over.

    **Errors:** `InputError` saying how many steps are possible where the stream ends too early.
    """
    later = islice(samples, start * training.batch, None)
    for step in range(start, training.steps):
        group = list(islice(later, training.batch))
        if len(group) < training.batch:
            possible = f"at most {step} steps" if group or step > start else f"fewer than {start + 1} steps"
            raise InputError(
                f"{path}: has not enough samples for `training.steps` = {training.steps} of "
                f"`training.batch` = {training.batch}, each seen once: {possible} are possible"
            )
        yield group


def _checked(rows: Any, path: str) -> Iterator[Row]:
    with _silent(), _named(path):
        source = iter(rows)
    while True:
        with _named(path):
            row = next(source, None)
        if row is None:
            return
        yield row


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Whatever the package raises becomes an `InputError` that names the data set."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # the package passes on errors of a dozen readers
        cause = error.__cause__ or error.__context__
        reason = f"{error} ({cause})" if cause else f"{error}" or f"are its files empty? ({error!r})"
        raise InputError(f"{path}: the data set cannot be read: {' '.join(reason.split())}") from None


@contextmanager
def _silent() -> Iterator[None]:
    """The package's bars and messages are off, and afterwards as they were; what stops it is raised."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    loggers = [logging.getLogger(name) for name in ("datasets", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    datasets.disable_progress_bars()
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if shown:
            datasets.enable_progress_bars()
