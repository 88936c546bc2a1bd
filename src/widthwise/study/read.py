"""A study file to a `Study`: TOML, checked by pydantic at this border only, to frozen dataclasses."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic_core import ErrorDetails

from widthwise.errors import InputError
from widthwise.study.check import TABLES, type_message
from widthwise.study.study import Study
from widthwise.study.values import dangling_link, nearest, shown, synonym

LARGEST_FILE = 1 << 20
STRICT = ConfigDict(strict=True, extra="forbid", hide_input_in_errors=True)


def load_study(path: str | PathLike[str], overrides: Sequence[str] = ()) -> Study:
    """Read a study file.

    **Arguments:** `path`, a TOML file laid out as the README shows, with at least `[study] name`; every
    other key has a default. `overrides`, texts such as "training.steps=50" that replace or add one key
    each, later ones winning; the value is TOML, and a bare word is a text.
    **Returns:** the checked `Study`; its `folder` is that of the file, where a relative `data.path` starts.
    **Errors:** `InputError` naming the file and what is wrong: unreadable (with line and column), unknown
    table or key (with the nearest valid one), a value of another type, or values that no study can have.
    """
    path = Path(path)
    tables = _parsed(path, _text(path))
    for override in overrides:
        _apply(override, tables)
    try:
        return study_from_tables(tables, folder=str(path.parent))
    except InputError as error:
        by_hand = f" with {' '.join(f'--set {override}' for override in overrides)}" if overrides else ""
        raise InputError(f"{path}{by_hand}: {error}") from None


def _text(path: Path) -> str:
    """The text of a file of reasonable size."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        reason = dangling_link(path) or "there is no such study file"
        raise InputError(f"{path}: {reason}") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; give the study file (.toml) in it") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: the study file cannot be read: {reason}") from None
    if len(raw) > LARGEST_FILE:
        raise InputError(f"{path}: is larger than {LARGEST_FILE:,} bytes; is this a study file (.toml)?")
    try:
        return raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path}, line {line}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8 text"
        ) from None


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = re.search(r"line (\d+)", str(error))
        last = text.rstrip("\n").count("\n") + 1
        line = min(int(place.group(1)), last) if place else last
        raise InputError(f"{path}, line {line}: not readable as TOML: {error}") from None
    except RecursionError:
        raise InputError(f"{path}: not readable as TOML: nested too deeply") from None
    except ValueError as error:  # a whole number of thousands of digits
        raise InputError(f"{path}: not readable as TOML: {error}") from None


def _apply(override: str, tables: dict[str, Any]) -> None:
    """Set the one key that `override` names."""
    key, equals, text = override.partition("=")
    table, dot, name = key.strip().partition(".")
    if not (equals and dot and table and name) or "." in name:
        homes = [] if dot or not equals else _homes(table)
        meant = f"did you mean --set {homes[0]}={text}?" if homes else "such as --set training.steps=50"
        raise InputError(f"`--set {override}`: give table.key=value, {meant}")
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        parsed = {}
    if parsed.keys() == {"value"}:
        value = parsed["value"]
    elif text.strip()[:1] in tuple("[{\"'") or "\n" in text:
        raise InputError(f"`--set {override}`: the value is not readable as TOML")
    else:
        value = text.strip()
    if not isinstance(tables.setdefault(table, {}), dict):
        raise InputError(f"`{table}` = {shown(tables[table])}: expected a table, [{table}]")
    tables[table][name] = value


def study_from_tables(tables: dict[str, Any], folder: str = ".") -> Study:
    """The study in tables as `Study.tables` gives them; raises `InputError` for every unknown key and wrong
    type."""
    models = _models()
    problems, settings = [], {}
    for table, content in ({"study": {}} | tables).items():
        if table not in models:
            problems.append(_unknown_table(table, content, list(models)))
        elif not isinstance(content, dict):
            problems.append(f"`{table}` = {shown(content)}: expected a table, [{table}]")
        else:
            try:
                settings[table] = models[table].model_validate(_with_tuples(content))
            except ValidationError as error:
                problems += _problems(table, content, error)
    if problems:
        raise InputError("\n  ".join(dict.fromkeys(problems)))
    types = _types()
    given = {table: types[table](**dict(settings[table])) for table in TABLES if table in settings}
    return Study(name=dict(settings["study"])["name"], folder=folder, **given)


def _types() -> dict[str, Any]:
    """The settings class of each table."""
    return {entry.name: entry.default_factory for entry in fields(Study) if entry.name in TABLES}


@cache
def _models() -> dict[str, type[BaseModel]]:
    """A strict pydantic model of each table, derived from its settings class."""
    models = {"study": create_model("study", __config__=STRICT, name=(str, ...))}
    for table, settings in _types().items():
        hints = get_type_hints(settings)
        entries: dict[str, Any] = {
            entry.name: (hints[entry.name], entry.default) for entry in fields(settings)
        }
        models[table] = create_model(table, __config__=STRICT, **entries)
    return models


def _with_tuples(value: Any) -> Any:
    """TOML's arrays as tuples, which strict models want."""
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(_with_tuples(item) for item in value) if isinstance(value, list) else value


def _problems(table: str, content: dict[str, Any], error: ValidationError) -> list[str]:
    return [_problem(table, content, detail) for detail in error.errors(include_url=False)]


def _problem(table: str, content: dict[str, Any], detail: ErrorDetails) -> str:
    """One line on one error of pydantic's."""
    name, hints = (
        str(detail["loc"][0]),
        {key: entry.annotation for key, entry in _models()[table].model_fields.items()},
    )
    if detail["type"] == "missing":
        return f'`{table}.{name}` is missing: begin the file with [study] and name = "..."'
    if detail["type"] != "extra_forbidden":
        return type_message(f"{table}.{name}", content[name], hints[name])
    close, elsewhere = nearest(name, hints), _homes(name)
    if elsewhere and (close is None or synonym(name, hints) is None):
        return f"`{table}.{name}`: unknown key; did you mean `{elsewhere[0]}`?"
    return f"`{table}.{name}`: unknown key; {_meant(table, close, list(hints))}"


def _homes(name: str) -> list[str]:
    """Keys of that name, or that have it as another name, with their tables."""
    found = {home: synonym(name, model.model_fields) for home, model in _models().items()}
    keys = [(home, key) for home, key in found.items() if key is not None]
    return [f"{home}.{key}" for home, key in sorted(keys, key=lambda each: each[1] != name)]


def _meant(table: str, close: str | None, valid: list[str]) -> str:
    return f"did you mean `{table}.{close}`?" if close else f"[{table}] knows {', '.join(valid)}"


def _unknown_table(table: str, content: Any, valid: list[str]) -> str:
    """An unknown name at the top: a misspelled table, or a key that stands before its table."""
    homes = _homes(table)
    if not isinstance(content, dict) and homes:
        home, _, key = homes[0].partition(".")
        called = "" if key == table else f" as `{key}`"
        return f"`{table}`: stands outside a table; put it under [{home}]{called}"
    close = nearest(table, valid)
    hint = (
        f"did you mean [{close}]?" if close else f"the tables are {', '.join(f'[{name}]' for name in valid)}"
    )
    return f"`{table}`: unknown table; {hint}"
