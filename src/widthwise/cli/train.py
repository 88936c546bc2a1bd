"""The command `train`: networks alone, into a folder or to a URL."""

from pathlib import Path

from widthwise.cli.run_folder import made, records_in, refuse_file
from widthwise.progress import Progress
from widthwise.study import Study
from widthwise.training import train_ensemble


def train_alone(study: Study, place: str | Path, progress: Progress) -> None:
    """Train what is not trained yet, into a folder or to a URL."""
    if isinstance(place, str):
        train_ensemble(study, records_in(place), progress=progress)
        return
    refuse_file(place)
    with made(place):
        train_ensemble(study, records_in(place), progress=progress)
