"""Values of settings: brought to plain Python, compared with their type, and described in words."""

import difflib
import json
import math
from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path, PurePath
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

Settings = TypeVar("Settings")
LONGEST_SHOWN = 120
# What keys and choices are called elsewhere, in plain small letters.
_OTHER_NAMES = {
    "learning_rate": "lr eta step_size stepsize rate",
    "hidden_layers": "depth layers num_layers n_layers hidden num_hidden_layers",
    "widths": "width hidden_size hidden_dim d_model channels",
    "seeds": "num_seeds n_seeds repeats replicates",
    "batch": "batch_size batchsize minibatch",
    "steps": "epochs num_steps n_steps iterations max_steps",
    "weight_decay": "wd decay l2",
    "clip": "grad_clip gradient_clip clip_grad_norm max_grad_norm",
    "epsilon": "eps",
    "momentum": "beta1",
    "schedule": "scheduler lr_schedule lr_scheduler",
    "richness": "gamma output_scale",
    "activation": "act nonlinearity activation_function",
    "parametrization": "parameterization parametrisation",
    "normalization": "norm normalisation",
    "kind": "type model arch architecture dataset",
    "loss": "criterion loss_fn objective",
    "train": "n_train num_train train_size",
    "test": "n_test num_test test_size",
    "precision": "dtype",
    "mean_field": "mup mf maximal_update",
    "ntk": "ntp lazy",
    "standard": "sp default pytorch",
    "cross_entropy": "ce xent crossentropy cross_entropy_loss nll",
    "mse": "squared l2_loss mean_squared_error mse_loss",
    "gradient_flow": "flow gf",
    "gd": "gradient_descent full_batch",
}
SYNONYMS = {other: name for name, others in _OTHER_NAMES.items() for other in others.split()}
WORDS = {
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    str: "a text in quotes",
}


def plain_settings(settings: Settings) -> Settings:
    """The same settings with lists and arrays as tuples and whole numbers as floats where floats belong.

    So `widths=[32, 64]`, `widths=2 ** np.arange(5, 7)` and `richness=2` in code mean, compare and hash the
    same as what is read from a file.
    """
    hints = get_type_hints(type(settings))
    plain = {
        entry.name: _plain(getattr(settings, entry.name), hints[entry.name])
        for entry in fields(settings)  # pyright: ignore[reportArgumentType]
    }
    return replace(settings, **plain)  # pyright: ignore[reportArgumentType, reportCallIssue]


def _plain(value: Any, hint: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, list | range):
        value = tuple(value)
    if isinstance(value, tuple):
        inner = get_args(hint)[0] if get_origin(hint) is tuple else None
        return tuple(_plain(item, inner) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool) and matches(value, float):
        return float(value)
    return value


def matches(value: object, hint: Any) -> bool:
    """Whether a plain value is of the type `hint`; numbers must be finite, and a bool is no number.

    >>> matches(2, float), matches(True, int), matches(float("nan"), float), matches("adam", Literal["gd"])
    (True, False, False, False)
    """
    origin, choices = get_origin(hint), get_args(hint)
    if origin is Literal:
        return isinstance(value, str) and value in choices
    if origin is tuple:
        return isinstance(value, tuple) and all(matches(item, choices[0]) for item in value)
    if origin in (Union, UnionType):
        return any(matches(value, choice) for choice in choices)
    if hint in (int, float):
        kinds = int if hint is int else int | float
        return isinstance(value, kinds) and not isinstance(value, bool) and _finite(value)
    return isinstance(value, hint)


def _finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the floats
        return False


def from_home(text: str) -> Path:
    """A path whose "~" is the home folder; where there is none, or of an unknown user, it stays as it is.

    >>> from_home("~nobody-of-this-name/x").parts
    ('~nobody-of-this-name', 'x')
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def expected(hint: Any) -> str:
    """What a value of type `hint` is, in words.

    >>> print(expected(tuple[float, ...]), "|", expected(Literal["all", "log"] | tuple[int, ...]))
    an array of finite numbers | "all" or "log" or an array of whole numbers
    """
    origin, choices = get_origin(hint), get_args(hint)
    if origin is Literal:
        quoted = [f'"{choice}"' for choice in choices]
        return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
    if origin is tuple:
        many = {int: "whole numbers", float: "finite numbers"}
        return f"an array of {many.get(choices[0]) or expected(choices[0])}"
    if origin in (Union, UnionType):
        return " or ".join(expected(choice) for choice in choices if choice is not type(None))
    return WORDS[hint]


def synonym(word: str, valid: Iterable[str]) -> str | None:
    """The valid word that is another name for `word`, or the same but for capitals and hyphens.

    >>> synonym("AdamW", ["adam", "adamw"]), synonym("lr", ["learning_rate"]), synonym("lr", ["loss"])
    ('adamw', 'learning_rate', None)
    """
    plain, known = word.strip().casefold().replace("-", "_").replace(" ", "_"), list(valid)
    found = plain if plain in known else SYNONYMS.get(plain)
    return found if found in known else None


def nearest(word: str, valid: Iterable[str]) -> str | None:
    """The valid word that `word` was probably meant to be, if one is close.

    >>> nearest("richnes", ["seed", "richness"]), nearest("xyz", ["seed", "richness"])
    ('richness', None)
    """
    known = list(valid)
    close = difflib.get_close_matches(word.casefold(), known, n=1, cutoff=0.6)
    return synonym(word, known) or (close[0] if close else None)


def dangling_link(path: Path) -> str:
    """Which link on the way to a path leads nowhere, as the beginning of a sentence; empty if none does."""
    for each in (path, *path.parents):
        if each.is_symlink() and not each.exists():
            return f"{each} is a link that leads nowhere (to {each.readlink()})"
    return ""


def shown(value: object) -> str:
    """A value as a study file would hold it, shortened where it is long.

    >>> print(shown("100"), shown((1, 2)), shown(True))
    "100" [1, 2] true
    """
    try:
        text = toml_value(value)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def toml_value(value: object) -> str:
    """One value of a study file as TOML.

    >>> print(toml_value((0.5, "tab\\t", True)))
    [0.5, "tab\\t", true]
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(value)
        case str():
            # JSON's escapes are TOML's, except that TOML also wants DEL escaped.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case tuple() | list():
            return f"[{', '.join(toml_value(item) for item in value)}]"
        case dict():
            return f"{{ {', '.join(f'{key} = {toml_value(item)}' for key, item in value.items())} }}"
    raise TypeError(f"{type(value).__name__} has no form in a study file")
