"""The study that a file carries in its attributes: written as JSON, read back as it came."""

import json
from collections.abc import Mapping
from typing import Any

from widthwise.errors import StoreError
from widthwise.study.read import study_from_tables
from widthwise.study.study import Study
from widthwise.study.tables import KINDS

DEEPEST = 64  # tables in tables; what reads them calls itself for each
Tables = dict[str, dict[str, Any]]


def read_json(content: str | bytes | None) -> Any:
    """What JSON says.

    **Errors:** `ValueError` for what is no JSON, or nested deeper than any file of ours.

    >>> read_json("[1]"), read_json(b"{}")
    ([1], {})
    """
    try:
        found = json.loads(content or b"")
        depth = _depth(found)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if depth >= DEEPEST:
        raise ValueError("nested too deeply")
    return found


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=-1)


def study_tables(attributes: Mapping[Any, object], name: str) -> Tables | None:
    """The tables of the attribute `study`, whatever is in them; None if there is no such attribute.

    **Arguments:** `name`, of the file, for messages.
    **Errors:** `StoreError` for what is no tables in JSON.
    """
    if "study" not in attributes:
        return None
    try:
        found = read_json(str(attributes["study"]))
    except ValueError as error:
        raise _no_study(name, str(error)) from error
    if not isinstance(found, dict) or not all(isinstance(table, dict) for table in found.values()):
        raise _no_study(name, "it holds no tables")
    return found


def study_of(attributes: Mapping[Any, object], name: str) -> Study | None:
    """The study that a file was made of; None if it does not say.

    Keys that this version does not know are passed by, and those that the file lacks have their defaults, so
    that files of other versions can be read.

    **Arguments:** `name`, of the file, for messages.
    **Errors:** `StoreError` for what is no study, naming the first value that none can have.
    """
    tables = study_tables(attributes, name)
    if tables is None:
        return None
    kept: Tables = {}
    for table, kind in KINDS.items():
        # A key without a value stands for its default, as in a study file.
        given, known = tables.get(table, {}), kind.__dataclass_fields__
        kept[table] = {key: value for key, value in given.items() if key in known and value is not None}
    kept["study"].setdefault("name", "unnamed")
    try:
        return study_from_tables(kept)
    except ValueError as error:
        raise _no_study(name, str(error)) from error


def known_study(attributes: Mapping[Any, object]) -> Study | None:
    """The study that a file was made of; None if it does not say, or says what is none."""
    try:
        return study_of(attributes, "")
    except StoreError:
        return None


def _no_study(name: str, why: str) -> StoreError:
    return StoreError(f"{name}: its attribute `study` is no study ({why}): make the file again")
