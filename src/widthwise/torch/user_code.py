"""Calling what the user wrote: with the width where it asks for it, and with its failures in one sentence."""

import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from widthwise.errors import InputError

PACKAGE = str(Path(__file__).parents[1])
LIBRARIES = ("site-packages", "dist-packages", "<frozen")
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def with_width(function: Callable[..., Any], given: Any, width: int) -> Any:
    """`function(given)`, or with the width too if it has a parameter `width` or a second one without default.

    >>> with_width(lambda model: model, "model", 64), with_width(lambda model, n: n, "model", 64)
    ('model', 64)
    """
    parameters = _parameters(function)
    if any(each.name == "width" for each in parameters):
        return function(given, width=width)
    needed = [each for each in parameters if each.default is each.empty and each.kind in POSITIONAL]
    return function(given, width) if len(needed) > 1 else function(given)


def first_parameter(function: Callable[..., Any]) -> str:
    """Its name; empty where Python cannot tell."""
    parameters = _parameters(function)
    return parameters[0].name if parameters else ""


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # written in C
        return []


@contextmanager
def failures_told(what: str, advice: str = "") -> Iterator[None]:
    """An exception becomes an `InputError` that says `what` failed, how, in which line, and `advice`."""
    try:
        yield
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        end = f"; {advice}" if advice else ""
        raise InputError(f"{what} failed: {described(error)}{end}") from error


def described(error: BaseException) -> str:
    """Its kind, its first line, and the innermost line of the user's own code that it passed."""
    told = str(error).strip().splitlines()
    words = f"{type(error).__name__}: {told[0]}" if told else type(error).__name__
    if isinstance(error, SyntaxError) and error.filename:
        return f"{words.partition(' (')[0]} ({error.filename}, line {error.lineno})"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    return f"{words} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else words


def _is_own(file: str) -> bool:
    return not file.startswith(PACKAGE) and not any(part in file for part in LIBRARIES)
