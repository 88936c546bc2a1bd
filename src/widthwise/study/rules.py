"""What a value of a setting must keep to, written beside its type in `settings.py`."""

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError


def bounds(least: int | float, greatest: int | float, meaning: str) -> Any:
    """A number from `least` to `greatest`; `meaning` ends the message that refuses another.

    The upper ends lie beyond any use and within what float32 and the memory of one machine can hold, so that
    a slip of the pen is caught.
    """
    return Field(ge=least, le=greatest, description=meaning)


def must(holds: Callable[[Any], bool], advice: str) -> AfterValidator:
    """A value of which `holds` is true; the message that refuses another gives the `advice`."""

    def check(value: object) -> object:
        if not holds(value):
            raise PydanticCustomError("advice", "{advice}", {"advice": advice})
        return value

    return AfterValidator(check)


def different(values: Sequence[object]) -> bool:
    """Whether each value is there once."""
    return len(set(values)) == len(values)
