"""The command `sweep`: one setting at several values, and where the loss is least at each width."""

from pathlib import Path

from widthwise.analysis.optimum import find_optimum, largest_stable, require_values
from widthwise.cli.streams import is_url
from widthwise.cli.summary import render_sweep
from widthwise.errors import InputError
from widthwise.progress import Progress
from widthwise.records.folder import open_folder
from widthwise.records.schema import SWEEP
from widthwise.study import Study
from widthwise.training.setting_sweep import sweep_studies, train_sweep

RATE = "training.learning_rate"


def run_sweep(study: Study, text: str, directory: Path, progress: Progress) -> str:
    """Train, write DIR/sweep.nc, and say in a table what came out.

    **Arguments:** `text`, as in "training.learning_rate=0.01,0.02".
    **Errors:** `InputError` for a text that is no setting with numbers.
    """
    key, values = parse_values(text)
    if is_url(str(directory)):
        raise InputError(f"{directory}: a sweep goes to a folder; only `widthwise train` takes a URL")
    sweep_studies(study, key, values)
    require_values(values)  # before hours of training
    found = train_sweep(study, key, values, directory, progress=progress)
    optima = find_optimum(found)
    if key == RATE:
        optima["largest_stable"] = largest_stable(found)
    content = found.merge(optima).to_netcdf(engine="h5netcdf")
    open_folder(directory).write(SWEEP, bytes(content))
    return render_sweep(found, optima)


def parse_values(text: str) -> tuple[str, list[float | int]]:
    """The setting and its values, ascending.

    >>> parse_values("training.batch=64,32")
    ('training.batch', [32, 64])
    """
    key, equals, rest = text.partition("=")
    try:
        values = sorted(_number(each) for each in rest.strip("[] ").split(","))
    except ValueError:
        values = []
    if not (equals and values):
        raise InputError(
            f"`{text}`: give a setting and its values, such as training.learning_rate=0.01,0.02,0.04"
        )
    return key.strip(), values


def _number(text: str) -> float | int:
    try:
        return int(text)
    except ValueError:
        return float(text)
