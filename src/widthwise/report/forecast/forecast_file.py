"""forecast.json, for other programs, and forecast.nc, from which the page is drawn again."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from widthwise.errors import InputError
from widthwise.records.evidence import made_with
from widthwise.report.atomic import write_bytes
from widthwise.study.stored import read_json

NAME, NUMBERS = "forecast.json", "forecast.nc"
AGAIN = "delete it, or make it again with `widthwise forecast`"


def write_forecast(found: xr.Dataset, directory: str | Path) -> Path:
    """Write forecast.json and forecast.nc into a folder, in place of older ones; returns the first's path.

    **Errors:** `InputError` if they cannot be written.
    """
    directory = Path(directory)
    write_bytes(directory / NUMBERS, bytes(found.to_netcdf(engine="h5netcdf")))
    write_bytes(directory / NAME, forecast_text(found).encode())
    return directory / NAME


def forecast_text(found: xr.Dataset) -> str:
    """The text of forecast.json; what is not a number is null."""
    attrs = found.attrs
    made = made_with()
    content = {
        "schema": 1,
        "verdict": attrs["verdict"],
        "why": attrs["why"],
        "widths": found["width"].to_numpy().astype(int).tolist(),
        "steps": found["step"].to_numpy().tolist(),
        "loss": _plain(found["loss"]),
        "low": _plain(found["loss_low"]),
        "high": _plain(found["loss_high"]),
        "single_low": _plain(found["single_low"]),
        "single_high": _plain(found["single_high"]),
        "infinite_width": {
            "loss": _plain(found["loss_inf"]),
            "low": _plain(found["loss_inf_low"]),
            "high": _plain(found["loss_inf_high"]),
        },
        "exponent": _plain(found["exponent"]),
        "level": attrs["level"],
        "backtest": {
            "left_out": [int(width) for width in np.atleast_1d(attrs["left_out"])],
            "covered": _number(attrs["covered"]),
            "relative_error": _number(attrs["relative_error"]),
        },
        "advice": attrs["advice"],
        "optimum": read_json(attrs["optimum"]) if attrs.get("optimum") else None,
        "evidence": {
            "widths": found["trained_width"].to_numpy().astype(int).tolist(),
            "seeds": found["trained_seeds"].to_numpy().astype(int).tolist(),
            "trained": _plain(found["trained"]),
            "gap_to_infinite_width": _plain(found["gap"]),
            "notes": read_json(attrs["notes"]),
            "commit": made["commit"],
            "versions": made["versions"],
        },
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def read_forecast(path: str | Path) -> xr.Dataset:
    """A forecast from forecast.nc, wholly in memory.

    **Errors:** `InputError` if it cannot be read or is none.
    """
    try:
        with xr.open_dataset(path, engine="h5netcdf") as opened:
            found = opened.load()
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise InputError(f"{path} cannot be read as netCDF ({error}): {AGAIN}") from error
    if not {"loss", "loss_low", "trained"} <= set(found) or "verdict" not in found.attrs:
        raise InputError(f"{path} is no forecast: {AGAIN}")
    return found


def _plain(values: xr.DataArray) -> Any:
    return _finite(values.to_numpy().astype(float).tolist())


def _finite(value: Any) -> Any:
    return [_finite(each) for each in value] if isinstance(value, list) else _number(value)


def _number(value: float) -> float | None:
    return float(f"{value:.9g}") if math.isfinite(value) else None
