"""Feature and gradient kernels by layer: N times their variance, and their relative spread at a width."""

from dataclasses import dataclass

import numpy as np

from widthwise.analysis import TheorySeries, theory_series
from widthwise.report.figure import (
    Control,
    Figure,
    Panel,
    Trace,
    band,
    chosen_steps,
    line,
    marks,
    plain,
    step_axis,
)
from widthwise.report.gather import Gathered
from widthwise.report.words import KERNELS

LAYERED = ("feature_kernel", "gradient_kernel")


@dataclass(frozen=True)
class Spread:
    """One measure of a layer's scatter along steps: theory and its error, or networks' and its interval."""

    steps: np.ndarray
    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def layer_figure(run: Gathered) -> Figure | None:
    """Scatter of each layer's kernel at the last step and over steps; None if theory has no variance."""
    if run.theory is None:
        return None
    every = theory_series(run.theory)
    kernels = {
        name: [s for s in every if s.label.startswith(f"{name}, layer ") and s.variance is not None]
        for name in LAYERED
    }
    kernels = {name: layers for name, layers in kernels.items() if layers}
    if not kernels:
        return None
    measures: list[int | None] = [None, *run.shown_widths]
    several = any(len(layers) > 1 for layers in kernels.values())
    views = [
        ([_last_panel(run, layers, width)] if several else []) + [_curve_panel(run, layers, width)]
        for layers in kernels.values()
        for width in measures
    ]
    return Figure(
        id="layers",
        title="Scatter by layer",
        caption="N times the variance over initializations, averaged over pairs of points; relative spread: "
        "√(variance / N) over the kernel, root mean squares over pairs. "
        + ("Diamonds and dashed" if several else "Dashed")
        + ": theory, with its numerical error."
        + (
            " Others: networks, with 95 % intervals; curves of the widest, or of the width that is shown."
            if run.comparison is not None
            else ""
        ),
        panels=("At the last step", "While training") if several else ("While training",),
        views=views,
        controls=(
            Control("Kernel", tuple(KERNELS[name] for name in kernels)),
            Control("Show", tuple(map(_title, measures))),
        ),
    )


def _theory(series: TheorySeries, width: int | None) -> Spread:
    if width is None:
        assert series.variance is not None
        value, error = series.variance, series.variance_error
    else:
        assert series.relative_spread is not None
        scale = 1.0 / np.sqrt(width)
        value, error = scale * series.relative_spread, scale * series.relative_spread_error
    error = np.nan_to_num(error)
    return Spread(series.steps, value, np.maximum(value - error, 0.0), value + error)


def _networks(run: Gathered, series: TheorySeries, at: int, measure: int | None) -> Spread | None:
    """Of the networks of width `at`; relative to theory's kernel."""
    numbers = run.numbers
    if numbers is None or "part" not in numbers.dims or series.label not in numbers["part"].to_numpy():
        return None
    here, steps = numbers.sel(part=series.label, width=at), numbers["step"].to_numpy()
    found = [here[f"scaled_variance{end}"].to_numpy() for end in ("", "_low", "_high")]
    if not np.isfinite(found[0]).any():
        return None
    if measure is not None:
        # The comparison's steps are among theory's.
        size = np.where(series.resolved, series.value, np.nan)[np.searchsorted(series.steps, steps)]
        found = [np.sqrt(values / measure) / size for values in found]
    return Spread(steps, *found)


def _last_panel(run: Gathered, layers: list[TheorySeries], measure: int | None) -> Panel:
    """Against the layer, at the last step that is known."""
    at = np.arange(1, len(layers) + 1)
    names = [series.label.rpartition(" ")[2] for series in layers]
    data: list[Trace] = []
    for index, width in enumerate(run.widths):
        if measure not in (None, width):
            continue
        found = [_networks(run, series, width, measure) for series in layers]
        known = [spread for spread in found if spread is not None]
        if known:
            offset = 0.3 * (index + 1) / len(run.widths)  # beside theory's, which stand above the layers
            x = at[[spread is not None for spread in found]] + offset
            data.append(_marks(f"N = {width}", f"@w{index}", x, known, "circle"))
    data.append(_marks("theory", "@ink", at, [_theory(series, measure) for series in layers], "diamond"))
    ends = [at.min() - 0.5, at.max() + 0.5]
    axis = {"title": {"text": "layer"}, "tickvals": plain(at), "ticktext": names, "range": ends}
    return Panel(data, {"xaxis": axis, "yaxis": _value_axis(measure), "hovermode": "closest"})


def _marks(name: str, color: str, x: np.ndarray, spreads: list[Spread], symbol: str) -> Trace:
    value, low, high = np.array([_last(spread) for spread in spreads]).T
    return marks(name, color, x, value, symbol=symbol, bars=(value - low, high - value))


def _last(spread: Spread) -> np.ndarray:
    known = np.flatnonzero(np.isfinite(spread.value))
    every = np.stack([spread.value, spread.low, spread.high])
    return every[:, known[-1]] if len(known) else np.full(3, np.nan)


def _curve_panel(run: Gathered, layers: list[TheorySeries], measure: int | None) -> Panel:
    """Against steps, one color a layer: theory, and the networks at the width shown or the widest."""
    data: list[Trace] = []
    for index, series in enumerate(layers):
        label, color = series.label.rpartition(", ")[2], f"@l{index}"
        width = measure or max(run.widths, default=0)
        networks = _networks(run, series, width, measure) if width in run.widths else None
        if networks is not None:
            data += _curve((label, f"{label}, N = {width}"), color, networks, width=1.6)
        data += _curve((label, label), color, _theory(series, measure), width=2.4, dash="dash")
    return Panel(data, {"xaxis": step_axis(layers[0].steps), "yaxis": _value_axis(measure)})


def _curve(names: tuple[str, str], color: str, spread: Spread, **style: object) -> list[Trace]:
    """A curve and its band; `names` are those of its entry in the legend and of the curve itself."""
    group, name = names
    at = chosen_steps(spread.steps)
    x = plain(spread.steps[at])
    edges = band(name, f"{color}/0.14", x, spread.low[at], spread.high[at])
    curves = [*edges, line(name, color, x, spread.value[at], **style)]
    return [curve | {"legendgroup": group} for curve in curves]


def _title(measure: int | None) -> str:
    return "N · variance" if measure is None else f"relative spread at N = {measure}"


def _value_axis(measure: int | None) -> dict[str, object]:
    return {"title": {"text": _title(measure)}, "rangemode": "tozero"}
