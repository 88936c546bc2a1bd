"""Tables of a study against their settings classes, by pydantic; each fault is one line with advice."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, ValidationError, create_model
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from widthwise.errors import InputError
from widthwise.study.rules import must
from widthwise.study.settings import (
    DataSettings,
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    RunSettings,
    TheorySettings,
    TrainingSettings,
)
from widthwise.study.values import expected, nearest, plain, shown, synonym

LONGEST_NAME = 100
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


def _names_a_folder(name: str) -> bool:
    harmless = all(c.isalnum() or c in "-_." for c in name)
    return 0 < len(name) <= LONGEST_NAME and harmless and name[0] not in ".-"


Name = Annotated[
    str,
    must(
        _names_a_folder,
        f"use 1 to {LONGEST_NAME} letters, digits, '-', '_' and '.', not starting with '.' or '-'; "
        "it names the run's folder",
    ),
]


@dataclass(frozen=True, kw_only=True)
class Heading:
    """The table [study]."""

    name: Name


TABLES: dict[str, type[Any]] = {
    "data": DataSettings,
    "network": NetworkSettings,
    "training": TrainingSettings,
    "theory": TheorySettings,
    "ensemble": EnsembleSettings,
    "record": RecordSettings,
    "run": RunSettings,
}
KINDS: dict[str, type[Any]] = {"study": Heading} | TABLES


@cache
def model_of(settings: type[Any]) -> type[BaseModel]:
    """A strict pydantic model, derived from a settings class."""
    hints = get_type_hints(settings, include_extras=True)
    entries: dict[str, Any] = {
        each.name: (hints[each.name], ... if each.default is MISSING else each.default)
        for each in fields(settings)
    }
    return create_model(settings.__name__, __config__=STRICT, **entries)


def checked(table: str, content: Mapping[str, Any], settings: type[Any]) -> dict[str, Any]:
    """The values of a table as plain Python: tuples for lists, floats for whole numbers where those belong.

    **Errors:** `InputError` with a line for each unknown key, value of another type (numbers must be finite,
    and a bool is no number), and value that the key cannot have whatever the others are.
    """
    content, model = plain(content), model_of(settings)
    try:
        return dict(model.model_validate(content))
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems = [_problem(table, content, detail, model.model_fields) for detail in found]
        raise InputError("\n  ".join(dict.fromkeys(problems))) from None


def _problem(
    table: str, content: Mapping[str, Any], detail: ErrorDetails, known: Mapping[str, FieldInfo]
) -> str:
    """One line on one error of pydantic's."""
    name = str(detail["loc"][0])
    match detail["type"]:
        case "missing":
            return f'`{table}.{name}` is missing: begin the file with [study] and name = "..."'
        case "extra_forbidden":
            return f"`{table}.{name}`: unknown key; {_meant_key(table, name, list(known))}"
        case "advice":
            why = detail["msg"]
        case "greater_than_equal" | "less_than_equal":
            why = _bounds(known[name])
        case _:
            why = _type(content[name], known[name].annotation)
    return f"`{table}.{name}` = {shown(content[name])}: {why}"


def _bounds(entry: FieldInfo) -> str:
    """Between which numbers a value lies; whole ones with all their digits."""
    ends = (entry.metadata[0].ge, entry.metadata[1].le)
    least, greatest = (f"{end:,}" if isinstance(end, int) else f"{end:g}" for end in ends)
    return f"give {least} to {greatest}; {entry.description}"


def _type(value: object, hint: object) -> str:
    """What a value is expected to be, with the nearest choice where there are some."""
    meant = nearest(value, get_args(hint)) if isinstance(value, str) and get_origin(hint) is Literal else None
    return f"expected {expected(hint)}" + (f'; did you mean "{meant}"?' if meant else "")


def _meant_key(table: str, name: str, valid: list[str]) -> str:
    close, elsewhere = nearest(name, valid), homes(name) if table in KINDS else []
    if elsewhere and (close is None or synonym(name, valid) is None):
        return f"did you mean `{elsewhere[0]}`?"
    return f"did you mean `{table}.{close}`?" if close else f"[{table}] knows {', '.join(valid)}"


def homes(name: str) -> list[str]:
    """Keys of a study file of that name, or that have it as another name, with their tables."""
    found = {table: synonym(name, model_of(kind).model_fields) for table, kind in KINDS.items()}
    keys = [(table, key) for table, key in found.items() if key is not None]
    return [f"{table}.{key}" for table, key in sorted(keys, key=lambda each: each[1] != name)]
