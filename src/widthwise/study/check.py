"""Cross-checks of a study, made once when it is built. Each message names the key and what to do."""

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, get_args, get_origin, get_type_hints

from widthwise.errors import InputError

if TYPE_CHECKING:
    from widthwise.study.study import Study

TABLES = ("data", "network", "training", "theory", "ensemble", "record")


def check_study(study: "Study") -> None:
    """Raise `InputError` at the first value that no study can have."""
    if not study.name or not all(c.isalnum() or c in "-_." for c in study.name) or study.name[0] == ".":
        raise InputError(
            f"`study.name` = {study.name!r}: use letters, digits, '-', '_' and '.', not starting with '.'; "
            "it names the run's folder"
        )
    for table in TABLES:
        _check_choices(table, getattr(study, table))
    _check_data(study)
    _check_network_and_training(study)
    _check_theory_and_ensemble(study)


def _check_choices(table: str, settings: object) -> None:
    """Values of `Literal` fields must be among the choices; numbers must be numbers."""
    hints = get_type_hints(type(settings))
    for entry in fields(settings):  # pyright: ignore[reportArgumentType]
        value, hint, key = getattr(settings, entry.name), hints[entry.name], f"{table}.{entry.name}"
        literals = get_args(hint)
        if literals and all(isinstance(choice, str) for choice in literals):
            require(value in literals, key, value, f"choose one of {_listed(literals)}")
        elif get_origin(hint) is tuple and get_args(literals[0]):
            choices = get_args(literals[0])
            for item in value:
                require(item in choices, key, item, f"choose from {_listed(choices)}")
            require(len(set(value)) == len(value), key, list(value), "name each quantity once")
        elif hint is int:
            require(isinstance(value, int) and not isinstance(value, bool), key, value, "give a whole number")
        elif hint is float:
            require(isinstance(value, int | float) and math.isfinite(value), key, value, "give a finite number")


def _check_data(study: "Study") -> None:
    data = study.data
    if data.kind == "arrays":
        require(bool(data.path), "data.path", data.path, 'kind = "arrays" needs the path of an .npz file')
        return
    require(data.train >= 1, "data.train", data.train, "at least one training point is needed")
    require(data.test >= 0, "data.test", data.test, "give 0 or more test points")
    require(data.seed >= 0, "data.seed", data.seed, "give 0 or more")
    require(data.dimension >= 1, "data.dimension", data.dimension, "give 1 or more input dimensions")
    if data.kind == "digits":
        in_range = all(isinstance(digit, int) and 0 <= digit <= 9 for digit in data.classes)
        enough = len(data.classes) >= 2 and len(set(data.classes)) == len(data.classes)
        require(
            in_range and enough, "data.classes", list(data.classes), "name two or more different digits 0..9"
        )


def _check_network_and_training(study: "Study") -> None:
    network, training, record = study.network, study.training, study.record
    require(network.hidden_layers >= 1, "network.hidden_layers", network.hidden_layers, "give 1 or more")
    for key in ("activation_scale", "activation_gain", "richness"):
        require(getattr(network, key) > 0, f"network.{key}", getattr(network, key), "give a positive number")
    rate = training.learning_rate
    require(rate > 0, "training.learning_rate", rate, "give a positive number")
    require(training.steps >= 1, "training.steps", training.steps, "give 1 or more; step 0 is initialization")
    require(1 <= training.substeps <= 1024, "training.substeps", training.substeps, "give 1 to 1024")
    if not isinstance(record.steps, str):
        steps = list(record.steps)
        valid = all(isinstance(s, int) and not isinstance(s, bool) and 0 <= s < training.steps for s in steps)
        require(
            bool(steps) and valid and len(set(steps)) == len(steps),
            "record.steps",
            steps,
            f'give "all", "log", or different steps between 0 and training.steps - 1 = {training.steps - 1}',
        )


def _check_theory_and_ensemble(study: "Study") -> None:
    theory, ensemble = study.theory, study.ensemble
    for key in ("sites", "fluctuation_sites"):
        sites = getattr(theory, key)
        power = sites >= 16 and sites & (sites - 1) == 0
        require(power, f"theory.{key}", sites, "give a power of two of at least 16 (Sobol points)")
    require(
        2 <= theory.scramblings <= 1024,
        "theory.scramblings",
        theory.scramblings,
        "give 2 or more: their scatter is the standard error",
    )
    require(theory.seed >= 0, "theory.seed", theory.seed, "give 0 or more")
    widths = list(ensemble.widths)
    require(bool(widths), "ensemble.widths", widths, "name at least one width")
    require(
        all(isinstance(w, int) and not isinstance(w, bool) and w >= 1 for w in widths),
        "ensemble.widths",
        widths,
        "every width is a whole number of at least 1",
    )
    require(len(set(widths)) == len(widths), "ensemble.widths", widths, "name each width once")
    require(ensemble.seeds >= 1, "ensemble.seeds", ensemble.seeds, "give 1 or more")
    require(ensemble.seed >= 0, "ensemble.seed", ensemble.seed, "give 0 or more")
    require(ensemble.seeds_per_cell >= 1, "ensemble.seeds_per_cell", ensemble.seeds_per_cell, "give 1 or more")


def require(condition: bool, key: str, value: object, advice: str) -> None:
    """Raise `InputError` naming `key`, the value received and what to do, unless `condition`."""
    if not condition:
        raise InputError(f"`{key}` = {value!r}: {advice}")


def _listed(choices: Sequence[str]) -> str:
    return ", ".join(f'"{choice}"' for choice in choices)
