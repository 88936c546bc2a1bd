"""Cross-checks of a study, made once when it is built. Each message names the key and what to do."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import numpy as np

from widthwise.errors import InputError
from widthwise.study.combinations import check_combinations, check_falls
from widthwise.study.require import require
from widthwise.study.settings import TrainingSettings
from widthwise.study.values import expected, matches, nearest, shown

if TYPE_CHECKING:
    from widthwise.study.study import Study

TABLES = ("data", "network", "training", "theory", "ensemble", "record", "run")
LONGEST_NAME = 100
LARGEST_SEED = 2**31 - 1
FEWEST_SITES = 16

LARGEST_WIDTH = 2**24

# Key: least value, greatest value, what to say. The upper ends lie beyond any use and within what
# float32 and the memory of one machine can hold, so that a slip of the pen is caught here.
BOUNDS: dict[str, tuple[float, float, str]] = {
    "data.dimension": (1, 10**6, "input dimensions"),
    "data.train": (1, 10**6, "at least one training point is needed"),
    "data.test": (0, 10**6, "test points"),
    "data.seed": (0, LARGEST_SEED, "the points depend on it"),
    "data.size": (4, 1024, "pixels of an image's side"),
    "data.sequence_length": (2, 2**16, "tokens of a window"),
    "data.vocabulary": (2, 2**20, "different tokens"),
    "network.hidden_layers": (1, 1000, "hidden layers"),
    "network.heads": (1, 1024, "attention heads"),
    "network.head_size": (0, 2**16, "numbers in a head; 0 for heads that grow with the width"),
    "network.base_width": (1, LARGEST_WIDTH, "the width at which all parametrizations agree"),
    "network.activation_scale": (1e-6, 1e6, "a in phi(h) = g act(a h) / a must be positive"),
    "network.activation_gain": (1e-6, 1e6, "g in phi(h) = g act(a h) / a must be positive"),
    "network.richness": (1e-6, 1e6, "gamma must be positive; small is lazy, large is rich"),
    "training.learning_rate": (1e-30, 1e30, "a rate must be positive"),
    "training.steps": (1, 10**8, "step 0 is initialization"),
    "training.batch": (1, 10**7, "samples of a step"),
    "training.momentum": (0, 0.9999, "the share of the last step's move that is kept; beta1 of adam"),
    "training.beta2": (0, 0.999999, "adam's memory of squared gradients"),
    "training.epsilon": (0, 1, "added to adam's denominator"),
    "training.weight_decay": (0, 1e6, "the share of a weight that is lost in a step, over the rate"),
    "training.clip": (0, 1e30, "the largest norm of a gradient; 0 for any"),
    "training.warmup": (0, 10**8, "steps of rising rate"),
    "training.decay_factor": (1e-30, 1, "what the rate is multiplied by at each of decay_steps"),
    "training.substeps": (1, 1024, "Runge-Kutta steps between recorded steps"),
    "theory.sites": (FEWEST_SITES, 2**22, "Sobol points"),
    "theory.fluctuation_sites": (0, 2**22, "Sobol points; 0 leaves their number to that of the data"),
    "theory.scramblings": (2, 1024, "their scatter is the standard error"),
    "theory.seed": (0, LARGEST_SEED, "the scramblings depend on it"),
    "ensemble.seeds": (1, 10**5, "networks of each width"),
    "ensemble.seed": (0, LARGEST_SEED, "the initializations depend on it"),
    "ensemble.seeds_per_cell": (1, 10**5, "networks trained together"),
    "record.train_points": (0, 10**6, "training points among the recorded ones"),
    "record.modes": (1, 10**5, "eigenvalues of the tangent kernel"),
    "run.cpus": (0, 10**4, "processors of a cell"),
    "run.gpus": (0, 10**3, "accelerators of a cell"),
    "run.retries": (0, 1000, "restarts of a cell"),
    "run.checkpoint_minutes": (0, 10**4, "0 for a checkpoint after every few steps"),
}
LONGEST_SCAN = 32
NEEDED_PATHS = {
    "arrays": "the path of an .npz file",
    "image_folder": "the path of a folder with one folder a class",
    "cifar5m": "the path of a folder of .npz parts",
    "tokens": "the path of a text file or of a folder of *.tokens",
    "huggingface": "the name of a data set or the path of a folder of its files",
}


def check_study(study: "Study") -> None:
    """Raise `InputError` at the first value that no study can have.

    **Errors:** a value of another type than its field, a number out of its bounds (NaN and infinities
    included), repeated or missing entries of a list, and values that do not go together.
    """
    _check_name(study)
    for table in TABLES:
        check_table(table, getattr(study, table))
    path = study.data.path or ""
    writable = not any("\ud800" <= c <= "\udfff" or c == "\0" for c in path)
    require(writable, "data.path", repr(path), "has characters that no text file can hold")
    for holds, key, advice in _rules(study):
        table, _, name = key.partition(".")
        value = getattr(getattr(study, table), name)
        require(holds, key, "" if value is None else value, advice)
    check_combinations(study)


def check_table(table: str, settings: object) -> None:
    """Raise `InputError` at the first value of one table that has another type, or is out of its bounds."""
    _check_types(table, settings)
    for key, (least, greatest, meaning) in BOUNDS.items():
        home, name = key.split(".")
        if home == table:
            value = getattr(settings, name)
            advice = f"give {_bound(least)} to {_bound(greatest)}; {meaning}"
            require(least <= value <= greatest, key, value, advice)


def require_width(name: str, width: Any) -> None:
    """Raise `InputError` unless a network can have this width."""
    whole = isinstance(width, int | np.integer) and not isinstance(width, bool)
    if not whole or not 1 <= width <= LARGEST_WIDTH:
        raise InputError(f"`{name}` = {width!r}: give a whole number from 1 to {LARGEST_WIDTH:,}")


def check_training(training: object) -> None:
    """Raise `InputError` for settings that no training can have, whatever the study."""
    if not isinstance(training, TrainingSettings):
        raise InputError(f"`training` is {type(training).__name__}: give TrainingSettings(...)")
    check_table("training", training)
    check_falls(training)


def _bound(value: int | float) -> str:
    """Whole numbers with all their digits."""
    return f"{value:,}" if isinstance(value, int) and value <= LARGEST_SEED else f"{value:g}"


def _check_name(study: "Study") -> None:
    name, folder = study.name, study.folder
    require(isinstance(name, str), "study.name", name, "expected a text in quotes")
    require(isinstance(folder, str), "folder", folder, "expected the path of a folder as text")
    harmless = 0 < len(name) <= LONGEST_NAME and all(c.isalnum() or c in "-_." for c in name)
    require(
        harmless and name[0] not in ".-",
        "study.name",
        name,
        f"use 1 to {LONGEST_NAME} letters, digits, '-', '_' and '.', not starting with '.' or '-'; "
        "it names the run's folder",
    )


def _check_types(table: str, settings: object) -> None:
    hints = get_type_hints(type(settings))
    for entry in fields(settings):  # pyright: ignore[reportArgumentType]
        value, hint = getattr(settings, entry.name), hints[entry.name]
        if not matches(value, hint):
            raise InputError(type_message(f"{table}.{entry.name}", value, hint))


def type_message(key: str, value: object, hint: object) -> str:
    """What is wrong with a value of another type than `hint`, with the nearest choice where there are some.

    >>> print(type_message("training.loss", "nse", Literal["mse", "cross_entropy"]))
    `training.loss` = "nse": expected "mse" or "cross_entropy"; did you mean "mse"?
    """
    meant = nearest(value, get_args(hint)) if isinstance(value, str) and get_origin(hint) is Literal else None
    hidden = f'; did you mean "{meant}"?' if meant else ""
    return f"`{key}` = {shown(value)}: expected {expected(hint)}{hidden}"


def _rules(study: "Study") -> Iterator[tuple[bool, str, str]]:
    """What must hold of one key by itself beyond its type and bounds, and what to do where it does not."""
    data, theory, record, last = study.data, study.theory, study.record, study.training.steps - 1
    if data.kind in NEEDED_PATHS:
        yield bool(data.path), "data.path", f'kind = "{data.kind}" needs {NEEDED_PATHS[data.kind]}'
    digits = all(0 <= digit <= 9 for digit in data.classes) and len(data.classes) >= 2
    advice = "name two or more different digits 0 to 9"
    yield digits and _different(data.classes), "data.classes", advice
    widths = study.ensemble.widths
    valid = bool(widths) and all(1 <= width <= LARGEST_WIDTH for width in widths)
    yield valid, "ensemble.widths", f"name at least one width, each from 1 to {LARGEST_WIDTH}"
    yield _different(widths), "ensemble.widths", "name each width once"
    if not isinstance(record.steps, str):
        within = bool(record.steps) and all(0 <= step <= last for step in record.steps)
        advice = f'give "all", "log", or different steps from 0 to training.steps - 1 = {last}'
        yield within and _different(record.steps), "record.steps", advice
    for key, names in (("theory.observables", theory.observables), ("record.quantities", record.quantities)):
        yield bool(names) and _different(names), key, "name at least one, each once"
    scan, (least, greatest, meaning) = theory.richness_scan, BOUNDS["network.richness"]
    within = all(least <= richness <= greatest for richness in scan) and len(scan) <= LONGEST_SCAN
    advice = f"give at most {LONGEST_SCAN} different numbers from {least:g} to {greatest:g}; {meaning}"
    yield within and _different(scan), "theory.richness_scan", advice
    blocks = study.network.blocks
    few = bool(blocks) and all(1 <= n <= 100 for n in blocks) and len(blocks) <= 8
    yield few, "network.blocks", "give 1 to 100 residual blocks for each of 1 to 8 stages"
    advice = 'name "prediction" or "loss" among them: a record without either cannot be judged'
    yield bool({"prediction", "loss"} & set(record.quantities)), "record.quantities", advice
    for name in ("sites", "fluctuation_sites"):
        sites = getattr(theory, name)
        power = sites & (sites - 1) == 0 and (sites == 0 or sites >= FEWEST_SITES)
        yield power, f"theory.{name}", f"give a power of two from {FEWEST_SITES} on (Sobol points)"


def _different(values: Sequence[object]) -> bool:
    return len(set(values)) == len(values)
