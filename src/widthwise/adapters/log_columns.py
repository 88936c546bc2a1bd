"""Which column of a log is which: as it is told, by its name, or by what such columns are mostly called."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from widthwise.errors import InputError

ALIASES = {
    "width": ("d_model", "n_embd", "hidden_size", "hidden_dim", "model_dim", "embed_dim", "dim"),
    "seed": ("random_seed", "manual_seed", "rng_seed"),
    "step": ("_step", "global_step", "iteration", "iter", "steps"),
    "loss": (
        "test_loss",
        "val_loss",
        "valid_loss",
        "validation_loss",
        "eval_loss",
        "test/loss",
        "val/loss",
        "eval/loss",
    ),
    "rate": ("learning_rate", "lr"),
    "split": (),
}
TRAINING = ("train_loss", "train/loss", "training_loss")  # if there is no other
NEEDED = ("width", "step", "loss")
# Columns of a wide log are called 64, width=64, d_model_64 seed_1, and so on.
WIDE = re.compile(
    r"^(?:.*?\b)?(?:(?:width|d_model|n_embd|hidden|dim|w|n)[=_ -]?)?(\d+)"
    r"(?:\D*?(?:seed|s)[=_ -]?(\d+))?(?: - .*)?$",
    re.IGNORECASE,
)
BOUNDS = ("__MIN", "__MAX")  # which Weights & Biases writes beside each column


@dataclass(frozen=True)
class Columns:
    """`found`, the column of each role; `wide`, of a wide log the (width, seed) of each column of losses."""

    found: Mapping[str, str]
    wide: Mapping[str, tuple[int, int]]


def parse_columns(columns: str | Mapping[str, str] | None) -> dict[str, str]:
    """Roles and columns as `--columns` gives them.

    >>> parse_columns("width=d_model, loss=val_loss")
    {'width': 'd_model', 'loss': 'val_loss'}
    """
    if isinstance(columns, str):
        pairs = [part.partition("=") for part in columns.split(",") if part.strip()]
        columns = {role.strip(): name.strip() for role, _, name in pairs}
    found = dict(columns or {})
    for role, name in found.items():
        if role not in ALIASES or not name:
            raise InputError(
                f"`columns` has {role}={name}: give {', '.join(ALIASES)} and the names of columns, such as "
                "width=d_model,step=_step,loss=val_loss"
            )
    return found


def find_columns(
    where: str, names: Sequence[str], told: Mapping[str, str], settings: Collection[str] = ()
) -> Columns:
    """The columns of a log that has these names; a learning rate by its usual names is a run's only among its
    `settings`, as those that logs have beside each loss are of a schedule.

    **Errors:** `InputError` naming what is missing, told but not there, or could be several.
    """
    plain = [name.strip() for name in names]
    lower = [name.lower() for name in plain]
    found, template = {}, told.get("loss", "")
    for role in ALIASES:
        name = told.get(role)
        if name is not None and "{" not in name:
            if name.lower() not in lower:
                raise InputError(f"{where} has no column {name}: it has {_listed(plain)}")
            found[role] = names[lower.index(name.lower())]
            continue
        if lower.count(role) > 1:
            raise InputError(f"{where} has {lower.count(role)} columns {role}: keep one of them")
        choices = [role] if role in lower else [alias for alias in ALIASES[role] if alias in lower]
        if role == "rate":
            choices = [name for name in choices if name == role or name in settings]
        if role == "loss" and not choices:
            choices = [alias for alias in TRAINING if alias in lower]
        if len(choices) > 1:
            raise InputError(
                f"{where} has {' and '.join(choices)}: say which is the {role}, as in "
                f"--columns {role}={choices[0]}"
            )
        if choices and not (role == "loss" and template):
            found[role] = names[lower.index(choices[0])]
    wide = {}
    if "step" in found and "width" not in found and ("loss" not in found or template):
        wide = _wide([name for name in names if name not in found.values()], template)
    missing = [role for role in NEEDED if role not in found and not (wide and role in ("width", "loss"))]
    if missing:
        raise InputError(
            f"{where} has no column {', '.join(missing)}: it has {_listed(plain)}; say which they are, as in "
            f"--columns {','.join(f'{role}=NAME' for role in missing)}"
        )
    return Columns(found, wide)


def _wide(names: Sequence[str], template: str) -> dict[str, tuple[int, int]]:
    """Columns of losses with their (width, seed), by a template such as loss_{width}_{seed} or as usual."""
    pattern = WIDE
    if template:
        text = (
            re.escape(template)
            .replace(r"\{width\}", r"(?P<width>\d+)")
            .replace(r"\{seed\}", r"(?P<seed>\d+)")
        )
        pattern = re.compile(f"^{text}$")
    found = {}
    for name in names:
        match = None if name.endswith(BOUNDS) else pattern.match(name.strip())
        if match is not None:
            width, seed = match[1], match[2] if len(match.groups()) > 1 else None
            if template:
                width, seed = match["width"], match.groupdict().get("seed")
            found[name] = (int(width), int(seed or 0))
    return found


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(name[:40] for name in names[:12])
    return (shown or "none") + (" ..." if len(names) > 12 else "")
