"""Reading a run directory: theory.nc, records.zarr, and the verdict of an audit."""

from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from widthwise.errors import InputError
from widthwise.records.read import open_records
from widthwise.records.schema import SCAN_VARIABLES, VARIABLES
from widthwise.report.audit.files import NAME, Audited, read_verdict


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


def read_run(directory: str | Path) -> RunFiles:
    """Open what is in `directory`.

    **Errors:** `InputError` if it does not exist, holds nothing, or a file is not what its name says; of a
    verdict beside other files a note says so.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise InputError(f"{directory} is not a directory: give a run directory, as `widthwise run` makes it")
    theory_path, records_path = directory / "theory.nc", directory / "records.zarr"
    verdict_path = directory / NAME
    alone = not theory_path.exists() and not records_path.exists()
    if alone and not verdict_path.exists():
        raise InputError(
            f"{directory} holds neither theory.nc nor records.zarr: first run "
            f"`widthwise run STUDY.toml --out {directory}`"
        )
    theory = read_theory_file(theory_path) if theory_path.exists() else None
    records, audited, notes = None, None, ()
    try:
        audited = read_verdict(verdict_path) if verdict_path.exists() else None
    except InputError as error:
        if alone:
            raise
        notes = (f"The audit is not shown: {error}.",)
    try:
        records = open_records(records_path) if records_path.exists() else None
    except InputError as error:
        if audited is None:
            raise
        # An audit asks less of records than training curves do.
        notes = (*notes, f"The networks' curves are not shown: {error}.")
    return RunFiles(directory, theory, records, audited, notes)


def read_theory_file(path: Path) -> xr.Dataset:
    """A theory.nc, wholly in memory.

    **Errors:** `InputError` if it cannot be read or holds no variable of the schema along `step`.
    """
    advice = "delete it and make it again with `widthwise theory`"
    try:
        with xr.open_dataset(path, engine="h5netcdf") as opened:
            theory = opened.load()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as netCDF ({error}): {advice}") from error
    for name, variable in (VARIABLES | SCAN_VARIABLES).items():
        dims = variable.dims
        if name in theory and set(theory[name].dims) != set(dims):
            raise InputError(
                f"{path}: `{name}` has dimensions {theory[name].dims}, the schema says {dims}: {advice}"
            )
    if not any(name in theory for name in VARIABLES):
        raise InputError(f"{path} holds none of {', '.join(VARIABLES)}, so it is no theory.nc: {advice}")
    return theory
