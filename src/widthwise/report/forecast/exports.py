"""All numbers of a forecast as CSV."""

import numpy as np
import xarray as xr

from widthwise.report.audit.exports import Download, download, table_text

FORETOLD = ("loss", "loss_low", "loss_high", "single_low", "single_high")
TRAINED = ("trained", "gap", "gap_low", "gap_high")
INFINITE = ("loss_inf", "loss_inf_low", "loss_inf_high", "exponent")
BACKTEST = ("backtest", "backtest_low", "backtest_high", "backtest_measured", "backtest_nearest")


def forecast_downloads(found: xr.Dataset) -> tuple[Download, ...]:
    """Foretold and trained widths, infinite width, and the backtest."""
    made = [
        download("forecast", "the forecast", _csv(found, "width", FORETOLD)),
        download("trained", "the trained widths", _csv(found, "trained_width", TRAINED)),
        download("infinite-width", "infinite width", _csv(found, None, INFINITE)),
    ]
    if "backtest" in found:
        made.append(download("backtest", "the backtest", _csv(found, "trial", BACKTEST)))
    return tuple(made)


def _csv(found: xr.Dataset, along: str | None, names: tuple[str, ...]) -> str:
    """A line for each step, of each entry along a dimension."""
    keys = {"trial": ("trial_width", "trial_used"), None: ()}.get(along, (along,))
    steps = found["step"].to_numpy().tolist()
    lines = []
    for at in range(1 if along is None else found.sizes[along]):
        one = found if along is None else found.isel({along: at})
        start = [f"{float(one[key]):g}" for key in keys]
        columns = np.stack([one[name].to_numpy() for name in names], axis=1)
        shown = [[None if not np.isfinite(v) else float(f"{v:.9g}") for v in row] for row in columns]
        lines += [[*start, step, *row] for step, row in zip(steps, shown, strict=True)]
    return table_text((*map(str, keys), "step", *names), lines)
