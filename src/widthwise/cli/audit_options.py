"""The `[audit]` table: thresholds of an audit from a file and from `--set`."""

import tomllib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from widthwise.audit import AuditSettings
from widthwise.errors import InputError
from widthwise.study.values import expected, matches, nearest, shown

TABLE = "audit"
LARGEST_FILE = 1 << 20


def read_settings(file: Path | None, overrides: Sequence[str] = ()) -> AuditSettings:
    """Settings of an audit.

    **Arguments:** `file`, TOML with a table `[audit]`; `overrides`, texts such as "audit.onset=0.05", which
    win.
    **Errors:** `InputError` naming what cannot be read, an unknown key with the nearest valid one, a bad
    value.
    """
    found = {} if file is None else _of_file(file)
    for override in overrides:
        key, value = _of_override(override)
        found[key] = value
    for key, value in found.items():
        hint = type(getattr(AuditSettings(), key))
        if not matches(value, hint):
            raise InputError(f"`audit.{key}` = {shown(value)}: expected {expected(hint)}")
    return AuditSettings(**found)


def _of_file(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as opened:
            raw = opened.read(LARGEST_FILE + 1)
        if len(raw) > LARGEST_FILE:
            raise InputError(
                f"{file}: is larger than {LARGEST_FILE:,} bytes; is this a settings file (.toml)?"
            )
        tables = tomllib.loads(raw.decode("utf-8-sig").replace("\r\n", "\n"))
    except FileNotFoundError:
        raise InputError(f"{file}: there is no such settings file") from None
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file}: not readable as TOML: {error}") from None
    others = [name for name in tables if name != TABLE]
    if others:
        raise InputError(f"{file}: `{others[0]}`: settings of an audit stand in one table, [audit]")
    table = tables.get(TABLE, {})
    if not isinstance(table, dict):
        raise InputError(f"{file}: `audit` = {shown(table)}: expected a table, [audit]")
    for key in table:
        _require(key, str(file))
    return dict(table)


def _of_override(override: str) -> tuple[str, Any]:
    where, equals, text = override.partition("=")
    table, dot, key = where.strip().partition(".")
    if not (equals and dot and table == TABLE and key):
        raise InputError(f"`--set {override}`: give audit.key=value, such as --set audit.onset=0.05")
    _require(key, f"--set {override}")
    try:
        return key, tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        raise InputError(f"`--set {override}`: the value is not a number") from None


def _require(key: str, origin: str) -> None:
    names = [field.name for field in fields(AuditSettings)]
    if key not in names:
        close = nearest(key, names)
        hint = f"did you mean `audit.{close}`?" if close else f"[audit] knows {', '.join(names)}"
        raise InputError(f"{origin}: `audit.{key}`: unknown key; {hint}")
