"""The `[audit]` table: thresholds of an audit from a file and from `--set`."""

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from widthwise.audit import AuditSettings
from widthwise.errors import InputError
from widthwise.study.read import read_toml
from widthwise.study.tables import checked
from widthwise.study.values import shown

TABLE = "audit"


def read_settings(
    file: Path | None, overrides: Sequence[str] = (), given: Mapping[str, Any] = MappingProxyType({})
) -> AuditSettings:
    """Settings of an audit.

    **Arguments:** `file`, TOML with a table `[audit]`; `overrides`, texts such as "audit.onset=0.05", which
    win; `given`, values of options of their own, such as `--limit`, which win over those.
    **Errors:** `InputError` naming what cannot be read, an unknown key with the nearest valid one, a bad
    value.
    """
    found = {} if file is None else _of_file(file)
    for override in overrides:
        key, value = _of_override(override)
        found[key] = value
    found |= given
    try:
        return AuditSettings(**checked(TABLE, found, AuditSettings))
    except InputError as error:
        origin = [str(file)] * (file is not None) + [f"--set {override}" for override in overrides]
        origin += [f"--{key}" + f" {value}" * (value is not True) for key, value in given.items()]
        raise InputError(f"{' with '.join(origin)}: {error}") from None


def _of_file(file: Path) -> dict[str, Any]:
    tables = read_toml(file, "settings")
    if others := [name for name in tables if name != TABLE]:
        raise InputError(f"{file}: `{others[0]}`: settings of an audit stand in one table, [audit]")
    table = tables.get(TABLE, {})
    if not isinstance(table, dict):
        raise InputError(f"{file}: `audit` = {shown(table)}: expected a table, [audit]")
    return table


def _of_override(override: str) -> tuple[str, Any]:
    where, equals, text = override.partition("=")
    table, dot, key = where.strip().partition(".")
    if not (equals and dot and table == TABLE and key):
        raise InputError(f"`--set {override}`: give audit.key=value, such as --set audit.onset=0.05")
    try:
        return key, tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        raise InputError(f"`--set {override}`: the value is not a number") from None
