"""Scatter over seeds against steps, and the distance to infinite width against width."""

import math

import numpy as np
import xarray as xr

from widthwise.analysis import theory_series
from widthwise.report.figure import (
    Control,
    Figure,
    Panel,
    Trace,
    band,
    chosen_steps,
    line,
    log_ticks,
    marks,
    plain,
    step_axis,
)
from widthwise.report.gather import Gathered
from widthwise.report.words import part_title


def variance_figure(run: Gathered) -> Figure | None:
    """N times the variance, and the typical distance to infinite width, against steps, for each part."""
    if run.comparison is None or run.numbers is None:
        return None
    numbers = run.numbers
    steps = numbers["step"].to_numpy()
    at = chosen_steps(steps)
    views = []
    for part in numbers["part"].to_numpy():
        here = numbers.sel(part=part).isel(step=at)
        scaled, distance = [], []
        for index, width in enumerate(run.widths):
            one, name = here.sel(width=width), f"N = {width}"
            values = one["scaled_variance"].to_numpy()
            if np.isfinite(values).any():
                low, high = (one[f"scaled_variance_{end}"].to_numpy() for end in ("low", "high"))
                scaled += band(name, f"@w{index}/0.12", "step", low, high)
                scaled.append(line(name, f"@w{index}", "step", values))
            distance.append(line(name, f"@w{index}", "step", one["rms_distance"].to_numpy()))
        theory = here["theory_scaled_variance"].to_numpy()
        if np.isfinite(theory).any():
            error = np.nan_to_num(here["theory_scaled_variance_stderr"].to_numpy())
            scaled += band("theory", "@ink/0.2", "step", theory - error, theory + error)
            scaled.append(line("theory", "@ink", "step", theory, width=2.5, dash="dash"))
            for width in run.widths:
                edge = np.sqrt(np.maximum(theory, 0.0) / width)
                distance.append(line("theory", "@ink", "step", edge, width=1.2, dash="dot", mode="lines"))
        axis = step_axis(steps)
        titles = ("N · variance over seeds", "root mean square distance")
        layouts = [{"xaxis": axis, "yaxis": {"title": {"text": t}, "rangemode": "tozero"}} for t in titles]
        views.append([Panel(scaled, layouts[0]), Panel(distance, layouts[1])])
    labels = tuple(part_title(str(p)) for p in numbers["part"].to_numpy())
    return Figure(
        id="variance",
        title="Scatter over initializations",
        caption="Left: N times the variance over seeds, averaged over points; if networks are as theory "
        "says, all widths fall on the dashed line. Bands: 95 % interval, and theory's numerical error. "
        "Right: root mean square distance of one network to infinite width; dotted: theory, √(variance / N).",
        panels=("N · variance over seeds", "Distance of one network to infinite width"),
        views=views,
        controls=(Control("Quantity", labels, initial=_first_test(labels)),),
        axes={"step": steps[at]},
    )


def distance_figure(run: Gathered) -> Figure | None:
    """Distance to infinite width against width on logarithmic axes, with fitted exponents."""
    if run.comparison is None or run.numbers is None or len(run.widths) == 0:
        return None
    numbers = run.numbers
    widths = np.array(run.widths, dtype=float)
    dense = np.geomspace(widths.min() / 1.3, widths.max() * 1.3, 24)
    views = []
    for part in numbers["part"].to_numpy():
        here = numbers.sel(part=part, width=run.widths)
        data: list[Trace] = []
        for kind, color, symbol in (("single", "@first", "circle"), ("mean", "@last", "square")):
            name = "single network" if kind == "single" else "ensemble mean"
            values = here[f"distance_{kind}"].to_numpy()
            known = here["distance_mean_resolved"].to_numpy() if kind == "mean" else np.isfinite(values)
            exponent = float(here[f"exponent_{kind}"])
            if math.isfinite(exponent):
                low, high = (float(here[f"exponent_{kind}_{end}"]) for end in ("low", "high"))
                name += f": N^{exponent:.2f} [{low:.2f}, {high:.2f}]"
                fit = float(here[f"amplitude_{kind}"]) * dense**exponent
                data.append(line(name, color, "dense", fit, width=1.6))
            if known.any():
                data.append(marks(name, color, widths[known], values[known], symbol=symbol))
            faint = ~known & (values > 0)
            if kind == "mean" and faint.any():
                name = "mean, below its noise"
                data.append(marks(name, "@muted", widths[faint], values[faint], symbol="square-open"))
        data += _theory_distance(run, str(part), dense)
        layout = {
            "xaxis": {"title": {"text": "width N"}, "type": "log", "tickvals": plain(widths)},
            "yaxis": {"title": {"text": "root mean square distance"}, "type": "log", **_decades(here)},
            "hovermode": "closest",
        }
        views.append([Panel(data, layout)])
    labels = tuple(part_title(str(p)) for p in numbers["part"].to_numpy())
    return Figure(
        id="distance",
        title="Distance to infinite width",
        caption="Root mean square over steps and points. A single network should approach infinite width "
        "with exponent −1/2, the mean of many with −1, which shows only where it exceeds the noise of "
        "averaging. Brackets: 95 % bootstrap interval over seeds. Dashed: theory for a single network.",
        panels=("",),
        views=views,
        controls=(Control("Quantity", labels, initial=_first_test(labels)),),
        axes={"dense": dense},
    )


def _theory_distance(run: Gathered, part: str, dense: np.ndarray) -> list[Trace]:
    assert run.numbers is not None
    if run.theory is None:
        return []
    series = next((one for one in theory_series(run.theory) if one.label == part), None)
    if series is None or series.variance is None:
        return []
    steps = np.isin(series.steps, run.numbers["step"].to_numpy()) & np.isfinite(series.variance)
    if not steps.any():
        return []
    shift = 0.0 if series.shift_size is None else np.nanmean(series.shift_size[steps] ** 2)
    predicted = np.sqrt(series.variance[steps].mean() / dense + shift / dense**2)
    return [line("theory, single network", "@ink", "dense", predicted, width=2, dash="dash")]


def _decades(here: xr.Dataset) -> dict[str, object]:
    """Ticks for the distances of one part, from those that are shown."""
    shown = np.concatenate([here[f"distance_{kind}"].to_numpy() for kind in ("single", "mean")])
    shown = shown[np.isfinite(shown) & (shown > 0)]
    return log_ticks(float(shown.min()), float(shown.max())) if shown.size else {}


def _first_test(labels: tuple[str, ...]) -> int:
    return next((i for i, label in enumerate(labels) if "test" in label), 0)
