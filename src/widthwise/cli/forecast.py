"""The command `forecast`: from records or logs to a forecast, its files, and an exit status."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from widthwise.adapters import open_runs
from widthwise.adapters.collect import combine, open_by_rate
from widthwise.cli.audit import Question, place_of, records_at
from widthwise.errors import InputError
from widthwise.forecast import forecast
from widthwise.forecast.optimum import optimum_drift
from widthwise.forecast.rates import sweep_of
from widthwise.progress import Progress
from widthwise.records.schema import SWEEP
from widthwise.report import write_report
from widthwise.report.forecast import write_forecast
from widthwise.study.stored import read_json
from widthwise.wording import percent, unmarked

STATUS = {"held": 0, "broke": 1, "too little data": 3}
DEFAULT_OUT = Path("forecast")


def run_forecast(
    paths: Sequence[str], columns: str | None, widths: Sequence[int], directory: Path, progress: Progress
) -> xr.Dataset:
    """Forecast, of a sweep its optimum too, and write forecast.json, forecast.nc and report.html."""
    sweep, records = _opened(paths, columns)
    progress.start("forecasting", 1)
    found = forecast(records, widths=widths)
    if sweep is not None:
        found.attrs["optimum"] = json.dumps(optimum_drift(sweep, target=max(widths)))
    progress.advance()
    directory.mkdir(parents=True, exist_ok=True)
    write_forecast(found, directory)
    write_report(directory, progress=progress)
    return found


def _opened(paths: Sequence[str], columns: str | None) -> tuple[xr.Dataset | None, xr.Dataset]:
    """A sweep, if it is one, and records: of a sweep those at the value that is best at the widest width."""
    if len(paths) == 1 and (Path(paths[0]) / SWEEP).is_file():
        with xr.open_dataset(Path(paths[0]) / SWEEP, engine="h5netcdf") as opened:
            sweep = opened.load()
        best = sweep["value"][int(sweep["loss"].isel(width=-1).mean("seed").argmin("value"))].item()
        return sweep, open_runs(Path(paths[0]) / f"{sweep.attrs['key']}={best}")
    by_rate = open_by_rate([records_at(path) for path in paths], columns)
    if len(by_rate) > 1:
        return sweep_of(by_rate)
    return None, combine(next(iter(by_rate.values()), []))


def folder_for(paths: Sequence[str], out: str | None) -> Path:
    """Where results go: `--out`, the one folder asked about, or forecast/."""
    return place_of(Question(tuple(paths)), out, DEFAULT_OUT)


def render(found: xr.Dataset, step: int | None) -> str:
    """What the terminal shows: the verdict, a line for each width, the backtest, the advice."""
    at = position(found, step)
    attrs = found.attrs
    lines = [f"{attrs['verdict']}: {unmarked(attrs['why'])}.", ""]
    told = int(found["step"][at])
    if attrs["verdict"] != "too little data" or np.isfinite(found["loss"]).any():
        lines.append(f"loss at step {told:,}" + (f" (asked: {step:,})" if step not in (None, told) else ""))
        lines.append(f"{'width':>12}  {'loss':>10}  {'95 % interval':>22}  {'one network':>22}")
        for i, width in enumerate(found["trained_width"].to_numpy()):
            lines.append(f"{width:>12,.0f}  {found['trained'].to_numpy()[i, at]:>10.5g}  {'trained':>22}")
        for i, width in enumerate(found["width"].to_numpy()):
            one = found.isel(width=i, step=at)
            lines.append(
                _row(f"{width:,.0f}", one, "loss", "loss_low", "loss_high", "single_low", "single_high")
            )
        lines.append(_row("infinite", found.isel(step=at), "loss_inf", "loss_inf_low", "loss_inf_high"))
        if np.isfinite(attrs["covered"]):
            left = ", ".join(f"{width:,}" for width in np.atleast_1d(attrs["left_out"]))
            lines += [
                "",
                f"backtest: {left} left out and foretold: {percent(attrs['covered'], 2)} in their intervals, "
                f"error {percent(attrs['relative_error'], 2)} late in training",
            ]
    lines += ["", attrs["advice"]] if attrs["advice"] else []
    if attrs.get("optimum"):
        optimum = json.loads(attrs["optimum"])
        lines += ["", f"optimum {optimum['verdict']}: {optimum['advice']}"]
    lines += [f"note: {note}" for note in read_json(attrs["notes"])]
    return "\n".join(lines).rstrip()


def position(found: xr.Dataset, step: int | None) -> int:
    """The recorded step nearest to the one asked for, the last if none is.

    **Errors:** `InputError` for a step outside the recorded ones.
    """
    steps = found["step"].to_numpy()
    if step is None:
        return len(steps) - 1
    if not steps[0] <= step <= steps[-1]:
        raise InputError(f"--step {step}: the runs share steps {steps[0]} to {steps[-1]}")
    return int(np.argmin(np.abs(np.log1p(steps) - np.log1p(step))))


def _row(name: str, one: xr.Dataset, middle: str, *edges: str) -> str:
    numbers = [float(one[edge]) for edge in edges]
    pairs = [f"{low:.5g} to {high:.5g}" for low, high in zip(numbers[::2], numbers[1::2], strict=True)]
    return f"{name:>12}  {float(one[middle]):>10.5g}  " + "  ".join(f"{pair:>22}" for pair in pairs)
