"""Figures of a forecast: curves with bands, loss against width, the backtest."""

import numpy as np
import xarray as xr

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
    value_axis,
)
from widthwise.study.stored import read_json

MOST_SHOWN = 12  # steps of the slider


def forecast_figures(found: xr.Dataset) -> list[Figure]:
    """All that there are data for."""
    made = [curve_figure(found), width_figure(found), backtest_figure(found), optimum_figure(found)]
    return [figure for figure in made if figure is not None]


def curve_figure(found: xr.Dataset) -> Figure:
    """Trained means, foretold medians with their intervals, infinite width."""
    chosen = chosen_steps(found["step"].to_numpy())
    data = found.isel(step=chosen)
    axes = {"step": np.maximum(data["step"].to_numpy(), 0)}
    traces: list[Trace] = []
    for i, width in enumerate(data["trained_width"].to_numpy()):
        traces.append(line(f"{width:g}, trained", f"@w{i}", "step", data["trained"].to_numpy()[i]))
    for i, width in enumerate(data["width"].to_numpy()):
        color, name = f"@w{data.sizes['trained_width'] + i}", f"{width:g}, foretold"
        one = data.isel(width=i)
        traces += band(name, f"{color}/0.18", "step", one["loss_low"].to_numpy(), one["loss_high"].to_numpy())
        traces.append(line(name, color, "step", one["loss"].to_numpy(), dash="dash"))
    infinite = data["loss_inf"].to_numpy()
    traces.append(line("infinite width", "@ink", "step", infinite, dash="dot", width=1.5))
    every = [data["trained"].to_numpy().ravel(), data["loss"].to_numpy().ravel()]
    layout: dict[str, object] = {
        "xaxis": step_axis(data["step"].to_numpy()),
        "yaxis": value_axis("loss", every),
    }
    caption = (
        "Means over seeds of trained widths, medians of the forecast (dashed), and the 95 % interval of the "
        f"mean of {found.attrs['seeds']} networks (shaded)."
    )
    return Figure("forecast-curves", "Forecast", caption, ("",), [[Panel(traces, layout)]], axes=axes)


def width_figure(found: xr.Dataset) -> Figure | None:
    """Loss against width at each of some steps."""
    if not np.isfinite(found["loss"]).any():
        return None
    time = np.log1p(found["step"].to_numpy().astype(float))
    wanted = np.linspace(time[0], time[-1], MOST_SHOWN)
    at = np.unique(np.abs(time[:, None] - wanted[None, :]).argmin(axis=0))
    trained, asked = found["trained_width"].to_numpy(), found["width"].to_numpy()
    views = []
    for place in at:
        one = found.isel(step=int(place))
        middle, low, high = (one[f"loss{end}"].to_numpy() for end in ("", "_low", "_high"))
        data = [
            marks("trained", "@first", trained, one["trained"].to_numpy()),
            marks("foretold", "@last", asked, middle, symbol="diamond", bars=(middle - low, high - middle)),
        ]
        ends = plain([trained[0], max(trained[-1], asked[-1])])
        flat = np.repeat(float(one["loss_inf"]), 2)
        data.append(line("infinite width", "@ink", ends, flat, dash="dot", width=1.5, mode="lines"))
        layout = {
            "xaxis": {"title": {"text": "width"}, "type": "log"},
            "yaxis": {"title": {"text": "loss"}},
            "hovermode": "closest",
        }
        views.append([Panel(data, layout)])
    steps = tuple(f"{int(found['step'][int(place)]):,}" for place in at)
    control = Control("step", steps, "range", len(steps) - 1)
    caption = "Bars: 95 % intervals of the mean of as many networks as each trained width has."
    return Figure("forecast-width", "Loss against width", caption, ("",), views, (control,))


def backtest_figure(found: xr.Dataset) -> Figure | None:
    """What left-out widths measured, over what was foretold of them, with the intervals."""
    if "backtest" not in found:
        return None
    data = found.isel(step=chosen_steps(found["step"].to_numpy()))
    axes = {"step": data["step"].to_numpy()}
    views, names = [], []
    for at in range(data.sizes["trial"]):
        one = data.isel(trial=at)
        told = one["backtest"].to_numpy()
        size = np.where(told == 0, np.nan, np.abs(told)) / 100
        low, high, measured, nearest = (
            (one[f"backtest{end}"].to_numpy() - told) / size
            for end in ("_low", "_high", "_measured", "_nearest")
        )
        traces = [
            *band("interval", "@w0/0.2", "step", low, high),
            line("measured", "@last", "step", measured),
            line("widest that was known", "@muted", "step", nearest, dash="dot"),
        ]
        bound = 2.5 * float(np.nanmax(np.abs([low, high, measured]))) or 1.0
        axis = {"title": {"text": "distance from the forecast, %"}, "range": [-bound, bound]}
        views.append([Panel(traces, {"xaxis": step_axis(axes["step"]), "yaxis": axis})])
        width, used = (float(one[name]) for name in ("trial_width", "trial_used"))
        names.append(f"{width:,.0f} from the {used:.0f} narrowest")
    caption = "Widths left out, foretold from narrower ones; shaded: the 95 % interval."
    control = Control("width", tuple(names))
    return Figure("forecast-backtest", "Backtest", caption, ("",), views, (control,), axes)


def optimum_figure(found: xr.Dataset) -> Figure | None:
    """The best value of a sweep at each width, and the one foretold."""
    if not found.attrs.get("optimum"):
        return None
    optimum = read_json(found.attrs["optimum"])
    names = ("widths", "optimum", "low", "high")
    widths, best, low, high = (np.array(optimum[name], dtype=float) for name in names)
    if not np.isfinite(best).any():
        return None
    data = [marks("optimum", "@first", widths, best, bars=(best - low, high - best))]
    if optimum.get("target_optimum") is not None:
        keys = ("target_optimum", "target_optimum_low", "target_optimum_high")
        middle, below, above = (np.array([optimum[key]], dtype=float) for key in keys)
        ends = (middle - below, above - middle)
        data.append(marks("foretold", "@last", [optimum["target"]], middle, symbol="diamond", bars=ends))
    axes = {"xaxis": {"title": {"text": "width"}, "type": "log"}, "yaxis": {"title": {"text": "value"}}}
    panel = Panel(data, {**axes, "hovermode": "closest"})
    caption = "Vertices of parabolas through the mean losses, with 95 % intervals over seeds."
    return Figure("forecast-optimum", "Optimum against width", caption, ("",), [[panel]])
