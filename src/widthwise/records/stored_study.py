"""The study that a file carries in its attributes: written as JSON, read back as it came."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from widthwise.errors import StoreError
from widthwise.study import Study
from widthwise.study.read import study_from_tables

Tables = dict[str, dict[str, Any]]


def read_json(content: str | bytes | None) -> Any:
    """What JSON says.

    **Errors:** `ValueError` for what is no JSON, or nested deeper than can be read.

    >>> read_json("[1]"), read_json(b"{}")
    ([1], {})
    """
    try:
        return json.loads(content or b"")
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def study_tables(attributes: Mapping[str, object], name: str) -> Tables | None:
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


def study_of(attributes: Mapping[str, object], name: str) -> Study | None:
    """The study that a file was made of; None if it does not say.

    Keys that this version does not know are passed by, those that it knows and the file lacks have their
    defaults: files of other versions can be read.

    **Arguments:** `name`, of the file, for messages.
    **Errors:** `StoreError` for what is no study, naming the first value that none can have.
    """
    tables = study_tables(attributes, name)
    if tables is None:
        return None
    known = {each.name: each.default_factory for each in fields(Study)}
    kept: Tables = {"study": {"name": tables.get("study", {}).get("name", "unnamed")}}
    for table, settings in known.items():
        if table in tables:
            names = {each.name for each in fields(settings)}  # pyright: ignore[reportArgumentType]
            # A key without a value stands for its default, as in a study file.
            kept[table] = {k: v for k, v in tables[table].items() if k in names and v is not None}
    try:
        return study_from_tables(kept)
    except ValueError as error:
        raise _no_study(name, str(error)) from error


def _no_study(name: str, why: str) -> StoreError:
    return StoreError(f"{name}: its attribute `study` is no study ({why}): make the file again")
