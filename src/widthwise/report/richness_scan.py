"""Signal to noise and predicted mean loss against the richness, from a theory's scan."""

import numpy as np

from widthwise.analysis import TheorySeries, scan_series
from widthwise.report.figure import Control, Figure, Panel, Trace, marks, plain, value_axis
from widthwise.report.gather import Gathered
from widthwise.report.words import number


def richness_figure(run: Gathered) -> Figure | None:
    """Signal to noise of one network, and the mean loss of networks, at each width; None without a scan."""
    if run.theory is None:
        return None
    scanned = {series.label: series for series in scan_series(run.theory)}
    splits = [label.rpartition(", ")[2] for label in scanned if label.startswith("scan_loss, ")]
    if not splits:
        return None
    pairs = {name: (scanned[f"scan_prediction, {name}"], scanned[f"scan_loss, {name}"]) for name in splits}
    views = [[_noise_panel(run, prediction), _loss_panel(run, loss)] for prediction, loss in pairs.values()]
    remarks = [_remark(run, name, *pair) for name, pair in pairs.items()]
    shifted = all(loss.shift is not None for _, loss in pairs.values())
    first = splits.index("test") if "test" in splits else 0
    control = Control("Points", tuple(f"{name} points" for name in splits), initial=first)
    return Figure(
        id="richness",
        title="Signal and noise against the richness",
        caption="At the last step. Left: |f| √N / √(N · variance) of one network, root mean squares over "
        "points. Right: "
        + (
            "the mean loss at width N, loss + shift / N."
            if shifted
            else "the loss at infinite width; the mean shift at width N was not computed."
        )
        + " Diamonds: the best richness of the scan. Bars: numerical error. "
        + " ".join(remarks),
        panels=("Signal to noise of one network", "Mean loss" if shifted else "Loss, infinite width"),
        views=views,
        controls=(control,) if len(splits) > 1 else (),
    )


def signal_to_noise(series: TheorySeries, width: int) -> np.ndarray:
    r"""$\sqrt{\overline{f^2}} \sqrt N / \sqrt{\overline{N\,\mathrm{Var}}}$; NaN where it is not known."""
    spread = series.relative_spread
    if spread is None:
        return np.full(len(series.steps), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spread > 0, np.sqrt(width) / spread, np.nan)


def mean_loss(series: TheorySeries, width: int) -> np.ndarray:
    """The mean loss of networks of a width, loss + shift / N; NaN without a shift."""
    return series.value + (np.nan if series.shift is None else series.shift) / width


def best(values: np.ndarray, *, largest: bool) -> int | None:
    """Position of the largest or least known value."""
    if not np.isfinite(values).any():
        return None
    return int(np.nanargmax(values) if largest else np.nanargmin(values))


def _noise_panel(run: Gathered, series: TheorySeries) -> Panel:
    data: list[Trace] = []
    curves, best_at = [], []
    for index, width in enumerate(run.shown_widths):
        values = signal_to_noise(series, width)
        curves.append(values)
        relative = series.relative_spread_error / np.where(series.resolved, 1.0, np.nan)
        spread = series.relative_spread
        error = np.zeros_like(values) if spread is None else values * relative / spread
        data.append(_curve(f"N = {width}", f"@w{index}", series, values, error))
        best_at += _mark(series, values, largest=True)
    data.append(_best(best_at))
    return Panel(data, {"xaxis": _axis(series), "yaxis": _positive(value_axis("signal to noise", curves))})


def _loss_panel(run: Gathered, series: TheorySeries) -> Panel:
    data: list[Trace] = []
    curves, best_at = [series.value], _mark(series, series.value, largest=False)
    for index, width in enumerate(run.shown_widths if series.shift is not None else ()):
        values = mean_loss(series, width)
        curves.append(values)
        data.append(
            _curve(f"N = {width}", f"@w{index}", series, values, series.error + series.shift_error / width)
        )
        best_at += _mark(series, values, largest=False)
    data.append(_curve("infinite width", "@ink", series, series.value, series.error, dash="dash"))
    data.append(_best(best_at))
    return Panel(data, {"xaxis": _axis(series), "yaxis": value_axis("loss", curves)})


def _curve(
    name: str, color: str, series: TheorySeries, values: np.ndarray, error: np.ndarray, dash: str = "solid"
) -> Trace:
    line = {"color": color, "width": 2, "dash": dash}
    bars = (error, error)
    return marks(name, color, series.steps, values, size=6, bars=bars, mode="lines+markers", line=line)


def _mark(series: TheorySeries, values: np.ndarray, *, largest: bool) -> list[tuple[float, float]]:
    at = best(values, largest=largest)
    return [] if at is None else [(float(series.steps[at]), float(values[at]))]


def _best(points: list[tuple[float, float]]) -> Trace:
    x, y = ([point[axis] for point in points] for axis in (0, 1))
    return marks("best richness", "@ink", x, y, symbol="diamond", size=12, hoverinfo="skip")


def _axis(series: TheorySeries) -> dict[str, object]:
    ticks = plain(series.steps, 3)
    return {
        "title": {"text": "richness γ"},
        "type": "log",
        "tickvals": plain(series.steps),
        "ticktext": [f"{tick:g}" if tick is not None else "" for tick in ticks],
    }


def _positive(axis: dict[str, object]) -> dict[str, object]:
    return axis if axis["type"] == "log" else axis | {"rangemode": "tozero"}


def _remark(run: Gathered, split: str, prediction: TheorySeries, loss: TheorySeries) -> str:
    """Where signal to noise and loss are best on one split's points."""
    judged = [("signal to noise", prediction, signal_to_noise(prediction, 1), True)]
    if loss.shift is not None:
        judged += [(f"mean loss at N = {w}", loss, mean_loss(loss, w), False) for w in run.shown_widths[:1]]
    judged.append(("loss at infinite width", loss, loss.value, False))
    parts = []
    for what, series, values, largest in judged:
        at = best(values, largest=largest)
        if at is not None:
            end = ", the end of the scan" if len(values) > 1 and at in (0, len(values) - 1) else ""
            parts.append(f"{what}: {number(series.steps[at])}{end}")
    return f"Best richness on {split} points: {'; '.join(parts)}." if parts else ""
