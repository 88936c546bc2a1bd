"""A study file to a `Study`: TOML to checked tables to frozen dataclasses."""

import re
import tomllib
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from widthwise.errors import InputError
from widthwise.study.study import Study
from widthwise.study.tables import KINDS, checked, homes
from widthwise.study.values import dangling_link, nearest, shown

LARGEST_FILE = 1 << 20


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
    tables = read_toml(path, "study")
    for override in overrides:
        _apply(override, tables)
    try:
        return study_from_tables(tables, folder=str(path.parent))
    except InputError as error:
        by_hand = f" with {' '.join(f'--set {override}' for override in overrides)}" if overrides else ""
        raise InputError(f"{path}{by_hand}: {error}") from None


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The tables of a file of reasonable size; `InputError` says why `what` file cannot be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        reason = dangling_link(path) or f"there is no such {what} file"
        raise InputError(f"{path}: {reason}") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder; give the {what} file (.toml) in it") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: the {what} file cannot be read: {reason}") from None
    if len(raw) > LARGEST_FILE:
        raise InputError(f"{path}: is larger than {LARGEST_FILE:,} bytes; is this a {what} file (.toml)?")
    try:
        return tomllib.loads(raw.decode("utf-8-sig").replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        line, byte = raw[: error.start].count(b"\n") + 1, raw[error.start]
        reason = f"byte 0x{byte:02x} is not UTF-8; save the file as UTF-8 text"
        raise InputError(f"{path}, line {line}: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        place, last = re.search(r"line (\d+)", str(error)), raw.rstrip(b"\r\n").count(b"\n") + 1
        line = min(int(place[1]), last) if place else last
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
        known = [] if dot or not equals else homes(table)
        meant = f"did you mean --set {known[0]}={text}?" if known else "such as --set training.steps=50"
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
    value."""
    problems, found = [], {}
    for table, content in ({"study": {}} | tables).items():
        if table not in KINDS:
            problems.append(_unknown_table(table, content))
        elif not isinstance(content, dict):
            problems.append(f"`{table}` = {shown(content)}: expected a table, [{table}]")
        else:
            try:
                found[table] = checked(table, content, KINDS[table])
            except InputError as error:
                problems.append(str(error))
    if problems:
        raise InputError("\n  ".join(problems))
    heading = found.pop("study")
    return Study(**heading, folder=folder, **{table: KINDS[table](**given) for table, given in found.items()})


def _unknown_table(table: str, content: Any) -> str:
    """An unknown name at the top: a misspelled table, or a key that stands before its table."""
    if not isinstance(content, dict) and (known := homes(table)):
        home, _, key = known[0].partition(".")
        called = "" if key == table else f" as `{key}`"
        return f"`{table}`: stands outside a table; put it under [{home}]{called}"
    close = nearest(table, KINDS)
    hint = (
        f"did you mean [{close}]?" if close else f"the tables are {', '.join(f'[{name}]' for name in KINDS)}"
    )
    return f"`{table}`: unknown table; {hint}"
