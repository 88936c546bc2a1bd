"""What is studied: frozen dataclasses, read from TOML and checked. Begin at `study.py`."""

from widthwise.study.read import load_study
from widthwise.study.settings import (
    DataSettings,
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    RunSettings,
    TheorySettings,
    TrainingSettings,
)
from widthwise.study.study import Study
from widthwise.study.write import dump_study

__all__ = [
    "DataSettings",
    "EnsembleSettings",
    "NetworkSettings",
    "RecordSettings",
    "RunSettings",
    "Study",
    "TheorySettings",
    "TrainingSettings",
    "dump_study",
    "load_study",
]
