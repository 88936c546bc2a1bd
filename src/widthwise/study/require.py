"""The one form in which a study's faults are reported."""

from widthwise.errors import InputError
from widthwise.study.values import shown


def require(condition: bool, key: str, value: object, advice: str) -> None:
    """Raise `InputError` naming `key`, the value received and what to do, unless `condition`."""
    if not condition:
        raise InputError(f"`{key}` = {shown(value)}: {advice}")
