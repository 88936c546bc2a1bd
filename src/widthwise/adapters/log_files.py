"""Logs as files: CSV, JSON lines, JSON, Parquet; and what brings them: rows as mappings."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from widthwise.adapters.found_run import Run
from widthwise.adapters.log_rows import Row, runs_of_rows
from widthwise.errors import InputError

TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet")
Rows = tuple[list[str], list[tuple[str, Row]]]


def runs_of_log(path: Path, told: Mapping[str, str]) -> list[Run]:
    """All runs in one file; `told`, columns by role."""
    names, rows = read_log(path)
    return runs_of_rows(str(path), names, rows, told)


def read_log(path: Path) -> Rows:
    """Names of the columns, and rows with where they stand.

    **Errors:** `InputError` for a file that cannot be read.
    """
    try:
        match path.suffix.lower():
            case ".csv" | ".tsv":
                return _csv(path, "\t" if path.suffix.lower() == ".tsv" else ",")
            case ".parquet":
                return _parquet(path)
            case ".json":
                return _named(path, "entry", _entries(json.loads(path.read_text("utf-8-sig"))))
            case _:
                return _named(path, "line", list(_lines(path)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is no JSON: {error}") from error


def flat(content: object, before: str = "") -> dict[str, object]:
    """Nested tables as one, by dotted keys, and by the last part of a key where that is unique.

    Weights & Biases writes {"value": ...} for each setting.

    >>> flat({"model": {"d_model": 64}, "seed": {"value": 3, "desc": None}})
    {'model.d_model': 64, 'seed': 3, 'd_model': 64}
    """
    found: dict[str, object] = {}
    _flatten(content, before, found)
    last = [key.rpartition(".")[2] for key in found]
    return found | {
        short: found[key] for key, short in zip(list(found), last, strict=True) if last.count(short) == 1
    }


def _flatten(content: object, before: str, found: dict[str, object]) -> None:
    if not isinstance(content, Mapping):
        if before:
            found[before] = content
        return
    if "value" in content and set(content) <= {"value", "desc"}:
        return _flatten(content["value"], before, found)
    for key, inner in content.items():
        _flatten(inner, f"{before}.{key}" if before else str(key), found)


def _csv(path: Path, delimiter: str) -> Rows:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, skipinitialspace=True, delimiter=delimiter)
        names = [str(name) for name in reader.fieldnames or ()]
        return names, [(f"{path}, line {reader.line_num}", row) for row in reader]


def _lines(path: Path) -> Iterator[object]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    # Most codes write NaN as Python does.
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise InputError(f"{path}, line {number}: is no JSON: {error}") from error


def _entries(content: Any) -> Sequence[object]:
    """A list of rows, or that of the Hugging Face Trainer's state."""
    if isinstance(content, Mapping):
        content = content.get("log_history", [content])
    return content if isinstance(content, list) else []


def _named(path: Path, unit: str, entries: Sequence[object]) -> Rows:
    rows: list[tuple[str, Row]] = []
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, Mapping):
            raise InputError(f"{path}, {unit} {number}: is no table of names and numbers")
        rows.append((f"{path}, {unit} {number}", flat(entry)))
    return list(dict.fromkeys(name for _, row in rows for name in row)), rows


def _parquet(path: Path) -> Rows:
    try:
        from pyarrow import ArrowException, parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(f'{path}: reading Parquet takes pyarrow: pip install "widthwise[logs]"') from error
    try:
        table = parquet.read_table(path)
    except (ArrowException, OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from error
    return table.column_names, [(f"{path}, row {n}", row) for n, row in enumerate(table.to_pylist(), start=1)]
