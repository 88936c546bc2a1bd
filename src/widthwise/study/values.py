"""Values of settings: brought to plain Python, and described in words."""

import difflib
import json
from collections.abc import Iterable
from pathlib import Path, PurePath
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

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


def plain(value: Any) -> Any:
    """What a study file would hold in place of a value: lists, ranges and arrays as tuples, NumPy's numbers
    and paths as Python's.

    >>> plain([np.int64(3), np.arange(2), Path("a")])
    (3, (0, 1), 'a')
    """
    match value:
        case np.generic() | np.ndarray():
            return plain(value.tolist())
        case PurePath():
            return str(value)
        case list() | tuple() | range():
            return tuple(plain(item) for item in value)
        case dict():
            return {key: plain(item) for key, item in value.items()}
    return value


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
        text = str(None) if value is None else toml_value(value)
        text = text.encode("utf-8", "backslashreplace").decode()
    except (TypeError, ValueError, RecursionError):
        text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def toml_value(value: object) -> str:
    """One value of a study file as TOML, which is JSON's form of it but for one escape.

    >>> print(toml_value((0.5, "tab\\t", True)))
    [0.5, "tab\\t", true]
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
