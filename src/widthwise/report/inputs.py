"""Reading a run directory: theory.nc, records.zarr, and the verdict of an audit."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from widthwise.audit.reading import LARGEST
from widthwise.errors import InputError
from widthwise.records.read import open_records, read_attributes
from widthwise.records.schema import COMPANIONS, SCAN_VARIABLES, SWEEP, VARIABLES
from widthwise.report.audit.verdict_file import NAME, Audited, read_verdict
from widthwise.report.forecast.forecast_file import NUMBERS, read_forecast
from widthwise.study.stored import known_study
from widthwise.study.study import is_plain_perceptron

AGAIN = "delete it and make it again with `widthwise theory`"


@dataclass(frozen=True)
class RunFiles:
    """What a run directory holds; each may be None, not all. `records` is lazy.

    `notes`, on what is there and cannot be used.
    """

    directory: Path
    theory: xr.Dataset | None
    records: xr.Dataset | None
    audited: Audited | None = None
    notes: tuple[str, ...] = ()
    forecast: xr.Dataset | None = None

    @property
    def treated(self) -> bool:
        """Whether theory treats the study of the records, which must say what it is."""
        study = None if self.records is None else known_study(self.records.attrs)
        return study is not None and is_plain_perceptron(study)


def read_run(directory: str | Path, audited: Audited | None = None) -> RunFiles:
    """Open what is in `directory`; `audited`, its audit, if that is at hand.

    **Errors:** `InputError` if it does not exist, holds nothing, or a file is not what its name says; of a
    verdict beside other files a note says so.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(f"{directory} is not a directory: give a run directory, as `widthwise run` makes it")
    theory_path, records_path = directory / "theory.nc", directory / "records.zarr"
    verdict_path = directory / NAME
    alone = not theory_path.exists() and not records_path.exists()
    if alone and (directory / SWEEP).exists():
        raise InputError(f"{directory} holds a sweep: report one of its folders, each of which is a run")
    if alone and not verdict_path.exists() and not (directory / NUMBERS).exists():
        raise InputError(
            f"{directory} holds neither theory.nc nor records.zarr: first run "
            f"`widthwise run STUDY.toml --out {directory}`"
        )
    theory = read_theory_file(theory_path) if theory_path.exists() else None
    records, notes = None, ()
    try:
        if audited is None and verdict_path.exists():
            audited = read_verdict(verdict_path)
    except InputError as error:
        if alone:
            raise
        notes = (f"The audit is not shown: {error}.",)
    told = None
    try:
        told = read_forecast(directory / NUMBERS) if (directory / NUMBERS).exists() else None
    except InputError as error:
        if alone and audited is None:
            raise
        notes = (*notes, f"The forecast is not shown: {error}.")
    if records_path.exists():
        read_attributes(records_path)  # a damaged store, or a newer one, is refused beside any verdict
    try:
        records = open_records(records_path) if records_path.exists() else None
    except InputError as error:
        if audited is None:
            raise
        # An audit asks less of records than training curves do.
        notes = (*notes, f"The networks' curves are not shown: {error}.")
    return RunFiles(directory, theory, records, audited, notes, told)


def read_theory_file(path: Path) -> xr.Dataset:
    """A theory.nc, wholly in memory.

    **Errors:** `InputError` if it cannot be read, holds no variable of the schema along ascending steps, or
    holds one that is no number.
    """
    try:
        with xr.open_dataset(path, engine="h5netcdf") as opened:
            theory = opened.load()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as netCDF ({error}): {AGAIN}") from error
    for name, variable in (VARIABLES | SCAN_VARIABLES).items():
        for each in (name, *(f"{name}_{companion}" for companion in COMPANIONS)):
            if each in theory:
                _check_numbers(path, theory[each], variable.dims)
                # As where theory itself is not finite, from a divergence on.
                theory[each] = theory[each].where(np.abs(theory[each]) <= LARGEST)
    if not any(name in theory for name in VARIABLES):
        raise InputError(f"{path} holds none of {', '.join(VARIABLES)}, so it is no theory.nc: {AGAIN}")
    steps = theory["step"].to_numpy() if "step" in theory.coords else np.zeros(0)
    whole = steps.dtype.kind in "iuf" and len(steps) and (steps == np.rint(steps)).all()
    if not whole or (np.diff(steps) <= 0).any():
        raise InputError(f"{path} has no coordinate `step` of ascending whole numbers: {AGAIN}")
    return theory


def _check_numbers(path: Path, array: xr.DataArray, dims: tuple[str, ...]) -> None:
    if set(array.dims) != set(dims):
        raise InputError(
            f"{path}: `{array.name}` has dimensions {array.dims}, the schema says {dims}: {AGAIN}"
        )
    if array.dtype.kind not in "iuf":
        raise InputError(f"{path}: `{array.name}` has type {array.dtype}: {AGAIN}")
