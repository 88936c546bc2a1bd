"""Folders of runs as codes leave them: a log beside a config, TensorBoard, Weights & Biases, MLflow."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from widthwise.adapters.found_run import Run
from widthwise.adapters.log_files import TABLES, Rows, flat, read_log
from widthwise.adapters.log_rows import Row, runs_of_rows
from widthwise.errors import InputError

CONFIGS = ("config", "hparams", "args", "params", "settings", "hyperparameters")
NO_LOGS = (
    "forecast",
    "verdict",
    "wandb-summary",
    "wandb-metadata",
    "package",
    "tokenizer",
    "generation_config",
    "special_tokens_map",
)
EVENTS = "events.out.tfevents"
# Settings in the names of folders: width=64, seed_0, lr-0.01.
SETTING = re.compile(
    r"(?:^|[_,\s-])([A-Za-z]\w*?)[=_-]?(\d+(?:\.\d+)?(?:e-?\d+)?)(?=$|[_,\s-])", re.IGNORECASE
)


def runs_of_folder(folder: Path, told: Mapping[str, str]) -> list[Run]:
    """Runs of every folder below, each of which has a log; settings that the log does not have are those of
    the config beside it or above it, or of the folders' names. None if there is no log.

    **Errors:** `InputError` for a log that lacks a column, and whose config does, too.
    """
    found, without = [], None
    for place, names, rows in _logs(folder):
        settings = _settings(place, folder)
        more = [name for name in settings if name not in names]
        if rows and more:
            rows = [(where, {**settings, **row}) for where, row in rows]
        try:
            found += runs_of_rows(str(place), [*names, *more], rows, told, more)
        except InputError as error:
            if "has no column" not in str(error):
                raise
            without = without or error
    if not found and without is not None:
        raise without
    return found


def _logs(folder: Path) -> Iterator[tuple[Path, list[str], list[tuple[str, Row]]]]:
    """Every log below, what is hidden and stores of arrays aside: its place, columns and rows."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and Path(name).suffix != ".zarr"
        )
        place = Path(here)
        if {"metrics", "params"} <= set(folders):
            folders.clear()
            yield (place, *_mlflow(place))
            continue
        if any(EVENTS in name for name in files):
            yield (place, *_tensorboard(place))
        for name in sorted(files):
            path, ours = place / name, not name.startswith(".")
            if ours and path.suffix.lower() in TABLES and path.stem not in (*CONFIGS, *NO_LOGS):
                yield (path, *read_log(path))


def _settings(place: Path, top: Path) -> dict[str, object]:
    """Of the names of folders and of configs from the top down, the nearest last."""
    found: dict[str, object] = {}
    inner = place if place.is_dir() else place.parent
    above = [inner, *inner.parents][: len(inner.relative_to(top).parts) + 1][::-1]
    for folder in above:
        if folder != top:
            found |= {key.lower(): value for key, value in SETTING.findall(folder.name)}
        for path in sorted(folder.iterdir()):
            if path.stem in CONFIGS and path.is_file():
                found |= _config(path)
        if (folder / "params").is_dir():
            found |= {path.name: path.read_text().strip() for path in sorted((folder / "params").iterdir())}
    if place != inner:
        found |= {key.lower(): value for key, value in SETTING.findall(place.stem)}
    return {key: value for key, value in found.items() if isinstance(value, str | int | float)}


def _config(path: Path) -> dict[str, object]:
    try:
        if path.suffix.lower() == ".json":
            return flat(json.loads(path.read_text("utf-8-sig")))
        if path.suffix.lower() in (".yaml", ".yml"):
            return flat(_yaml(path))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    return {}


def _yaml(path: Path) -> object:
    try:
        import yaml  # pyright: ignore[reportMissingModuleSource]
    except ImportError as error:
        raise InputError(f'{path}: reading YAML takes PyYAML: pip install "widthwise[logs]"') from error
    try:
        return yaml.safe_load(path.read_text("utf-8-sig"))
    except yaml.YAMLError as error:
        raise InputError(f"cannot read {path}: {error}") from error


def _mlflow(place: Path) -> Rows:
    """Lines of "time value step", a file a metric."""
    rows: dict[int, dict[str, object]] = {}
    names = ["step"]
    for path in sorted((place / "metrics").rglob("*")):
        if path.is_file():
            name = path.relative_to(place / "metrics").as_posix()
            names.append(name)
            for number, line in enumerate(path.read_text().splitlines(), start=1):
                parts = line.split()
                if len(parts) != 3 or not parts[2].lstrip("-").isdigit():
                    raise InputError(f"{path}, line {number}: is no time, value and step")
                rows.setdefault(int(parts[2]), {"step": int(parts[2])})[name] = parts[1]
    return names, [(f"{place}, step {step}", rows[step]) for step in sorted(rows)]


def _tensorboard(place: Path) -> Rows:
    try:
        from tensorboard.backend.event_processing.event_accumulator import (  # pyright: ignore[reportMissingImports]
            EventAccumulator,
        )
        from tensorboard.util import tensor_util  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            f'{place}: reading TensorBoard\'s events takes tensorboard: pip install "widthwise[tensorboard]"'
        ) from error
    events = EventAccumulator(str(place), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    rows: dict[int, dict[str, object]] = {}
    tags = events.Tags()
    scalars = [(tag, event.step, event.value) for tag in tags["scalars"] for event in events.Scalars(tag)]
    for tag in tags["tensors"]:
        for event in events.Tensors(tag):
            value = tensor_util.make_ndarray(event.tensor_proto)
            if value.ndim == 0 and value.dtype.kind == "f":
                scalars.append((tag, event.step, float(value)))
    for tag, step, value in scalars:
        rows.setdefault(int(step), {"step": int(step)})[tag] = value
    names = ["step", *dict.fromkeys(tag for tag, _, _ in scalars)]
    return names, [(f"{place}, step {step}", rows[step]) for step in sorted(rows)]
