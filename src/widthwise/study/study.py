"""A study: the one description that theory, training, comparison and report all read."""

import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import numpy as np

from widthwise.errors import InputError
from widthwise.study.combinations import check_combinations, keys_outside
from widthwise.study.settings import (
    FULL_BATCH_QUANTITIES,
    STREAM_QUANTITIES,
    DataSettings,
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    RunSettings,
    TheorySettings,
    TrainingSettings,
)
from widthwise.study.tables import TABLES, Heading, checked
from widthwise.study.values import plain

Part = Literal["study", "data", "network", "training", "theory", "ensemble", "record", "run"]
STEPS_PER_DECADE = 8
MOST_POINTS = 10**6


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is studied. Immutable; equal studies have equal hashes.

    Lists, paths, NumPy numbers and whole numbers for floats are accepted in code and stored as a study file
    would give them. `folder` is where a relative data path starts from; it is not part of the content.

    **Errors:** `InputError` for the first value that no study can have, naming its key.

    >>> study = Study(name="demo", network=NetworkSettings(richness=2.0))
    >>> study.network.richness, study.training.steps
    (2.0, 100)
    """

    name: str
    data: DataSettings = field(default_factory=DataSettings)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    theory: TheorySettings = field(default_factory=TheorySettings)
    ensemble: EnsembleSettings = field(default_factory=EnsembleSettings)
    record: RecordSettings = field(default_factory=RecordSettings)
    run: RunSettings = field(default_factory=RunSettings, compare=False)
    folder: str = field(default=".", compare=False)

    def __post_init__(self) -> None:
        checked("study", {"name": self.name}, Heading)
        for table, kind in TABLES.items():
            settings = getattr(self, table)
            if type(settings) is not kind:
                raise InputError(f"`{table}` = {settings!r}: give {kind.__name__}(...)")
            object.__setattr__(self, table, kind(**checked(table, vars(settings), kind)))
        object.__setattr__(self, "folder", plain(self.folder))
        if not isinstance(self.folder, str):
            raise InputError(f"`folder` = {self.folder!r}: expected the path of a folder as text")
        object.__setattr__(self, "record", _without_defaults(self))
        check_combinations(vars(self))

    def recorded_train_points(self) -> int:
        """How many training points are among the recorded ones, if there are so many: all of a perceptron
        that has them all in every step."""
        if self.data.order == "online":
            return 0
        return MOST_POINTS if is_plain_perceptron(self) else self.record.train_points

    def tables(self) -> dict[str, dict[str, object]]:
        """The content as nested dictionaries, table by table, as in a study file."""
        tables = asdict(self)
        tables.pop("folder")
        return {"study": {"name": tables.pop("name")}, **tables}

    def hash(self, *parts: Part) -> str:
        """Content hash (hex, 64 digits) of the named tables, or of all but `run`.

        `data.path` is left out: a study may be moved, and `Points.digest` tells what the file holds.

        >>> a, b = Study(name="a"), Study(name="b")
        >>> a.hash() == b.hash(), a.hash("network") == b.hash("network")
        (False, True)
        """
        tables = self.tables()
        tables["data"].pop("path")
        if unknown := [part for part in parts if part not in tables]:
            raise InputError(f"`parts` has {unknown}: choose from {list(tables)}")
        chosen = {part: tables[part] for part in (parts or tables.keys() - {"run"})}
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()

    def recorded_steps(self) -> np.ndarray:
        """Steps at which quantities are kept, ascending, from 0 to at most `steps` - 1."""
        last = self.training.steps - 1
        match self.record.steps:
            case "all":
                return np.arange(last + 1)
            case "log" | "default":
                decades = np.log10(max(last, 1))
                grid = np.geomspace(1, max(last, 1), max(2, round(decades * STEPS_PER_DECADE) + 1))
                steps = np.unique(np.concatenate([[0], np.rint(grid).astype(int), [last]]))
                return steps[steps <= last]
            case chosen:
                return np.array(sorted(chosen))


def is_plain_perceptron(study: Study) -> bool:
    """Whether it is a mean-field perceptron on fixed points, all of them in every step at one rate."""
    return not any(keys_outside(vars(study)))


def require_study(study: object) -> None:
    """Raise `InputError` unless it is a study, and not, say, the path of one."""
    if not isinstance(study, Study):
        raise InputError(f"`study` is {type(study).__name__}: give a Study, such as load_study(path) returns")


def _without_defaults(study: Study) -> RecordSettings:
    """What is recorded, spelled out."""
    record, full = study.record, is_plain_perceptron(study)
    if record.steps == "default":
        record = replace(record, steps="all" if full else "log")
    if record.quantities == "default":
        record = replace(record, quantities=FULL_BATCH_QUANTITIES if full else STREAM_QUANTITIES)
    return record
