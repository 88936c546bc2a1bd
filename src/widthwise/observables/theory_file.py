"""`theory.nc`: written whole or not at all, and checked when read."""

from pathlib import Path

import xarray as xr

from widthwise.atomic import replace_file
from widthwise.errors import InputError
from widthwise.records.schema import SCHEMA_VERSION

ENGINE = "h5netcdf"


def write_theory(theory: xr.Dataset, path: str | Path) -> Path:
    """Write `theory` to `path`: under a temporary name, read back, then put in place at once."""
    path = Path(path)

    def check(partial: Path) -> None:
        with xr.open_dataset(partial, engine=ENGINE) as written:
            if set(written.data_vars) != set(theory.data_vars):
                raise InputError(f"{path}: could not be written whole; is the disk full? Run it again")

    path.parent.mkdir(parents=True, exist_ok=True)
    # In memory first: HDF5 does not survive a disk that fills up while it writes.
    replace_file(path, bytes(theory.to_netcdf(None, engine=ENGINE, encoding=_encoding(theory))), check)
    return path


def read_theory(path: str | Path) -> xr.Dataset:
    """Open a `theory.nc`, lazily.

    **Errors:** `InputError` for a missing file, one that is no netCDF, one that widthwise did not write,
    and one of a newer schema.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; `widthwise theory STUDY.toml` writes it")
    try:
        theory = xr.open_dataset(path, engine=ENGINE)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(
            f"{path}: cannot be read as netCDF4; delete it and run `widthwise theory` again"
        ) from error
    schema = theory.attrs.get("schema_version")
    if schema is None or "theory_hash" not in theory.attrs:
        theory.close()
        raise InputError(f"{path}: was not written by widthwise; choose another --out")
    if int(schema) > SCHEMA_VERSION:
        theory.close()
        raise InputError(
            f"{path}: has schema {int(schema)}, and this version knows up to {SCHEMA_VERSION}: "
            "update widthwise"
        )
    return theory


def _encoding(theory: xr.Dataset) -> dict[str, dict[str, object]]:
    return {
        str(name): {"zlib": True, "complevel": 1} for name, v in theory.data_vars.items() if v.size > 1024
    }
