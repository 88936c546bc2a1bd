"""What is studied: frozen dataclasses, read from TOML and checked. Begin at `study.py`."""

from widthwise.study.read import load_study as load_study
from widthwise.study.settings import DataSettings as DataSettings
from widthwise.study.settings import EnsembleSettings as EnsembleSettings
from widthwise.study.settings import NetworkSettings as NetworkSettings
from widthwise.study.settings import RecordSettings as RecordSettings
from widthwise.study.settings import RunSettings as RunSettings
from widthwise.study.settings import TheorySettings as TheorySettings
from widthwise.study.settings import TrainingSettings as TrainingSettings
from widthwise.study.study import Study as Study
from widthwise.study.write import dump_study as dump_study
