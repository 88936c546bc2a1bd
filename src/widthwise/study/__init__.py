"""What is studied: frozen dataclasses, read from TOML and checked. Begin at `study.py`."""

from widthwise.study.settings import (
    DataSettings,
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    TheorySettings,
    TrainingSettings,
)
from widthwise.study.study import Study

__all__ = [
    "DataSettings",
    "EnsembleSettings",
    "NetworkSettings",
    "RecordSettings",
    "Study",
    "TheorySettings",
    "TrainingSettings",
]
