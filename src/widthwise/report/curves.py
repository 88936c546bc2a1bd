"""Loss and predictions against steps: theory and every width."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from widthwise.analysis import point_splits
from widthwise.analysis.align import step_labels
from widthwise.report.figure import (
    Control,
    Figure,
    Panel,
    Trace,
    band,
    chosen_steps,
    line,
    plain,
    step_axis,
    value_axis,
)
from widthwise.report.gather import Gathered
from widthwise.report.words import SPLITS

MOST_POINTS = 24
INFINITE = "infinite width"


@dataclass(frozen=True)
class Curve:
    """One scalar against steps, everywhere it is known; missing pieces are None.

    `value`, `variance`, `shift` are theory's at its own steps; `mean` and `std` the networks' by width.
    """

    value: np.ndarray | None
    variance: np.ndarray | None
    shift: np.ndarray | None
    mean: dict[int, np.ndarray]
    std: dict[int, np.ndarray]


def loss_figure(run: Gathered) -> Figure | None:
    """Loss on each split; None if neither file has it along (step, split)."""
    sizes = _sizes(run, "loss", ("split",))
    if sizes is None:
        return None
    names = _split_names(run, sizes[0])
    curves = [_curve(run, "loss", (index,)) for index in range(sizes[0])]
    axes = [value_axis("loss", [c.value, *c.mean.values()]) for c in curves]
    views = [
        [_panel(run, curve, width, axis) for curve, axis in zip(curves, axes, strict=True)]
        for width in _shows(run).values()
    ]
    words = ("loss", "Loss", _caption("Loss", run))
    return _figure(run, words, tuple(SPLITS.get(name, name) for name in names), views)


def prediction_figure(run: Gathered) -> Figure | None:
    """The network's output at each of up to `MOST_POINTS` points; None if neither file has it."""
    sizes = _sizes(run, "prediction", ("point", "output"))
    if sizes is None:
        return None
    points, outputs = sizes
    shown = np.unique(np.rint(np.linspace(0, points - 1, min(points, MOST_POINTS))).astype(int))
    columns = [(int(p), o) for p in shown for o in range(outputs)][: 2 * MOST_POINTS]
    views, labels = [], []
    for point, output in columns:
        curve, target = _curve(run, "prediction", (point, output)), _target(run, point, output)
        labels.append(_point_label(run, point, output, outputs))
        axis = {"title": {"text": "output f of the network"}}
        views += [[_panel(run, curve, width, axis, target)] for width in _shows(run).values()]
    tested = next((i for i, (p, _) in enumerate(columns) if _split_of(run, p) == "test"), 0)
    caption = _caption("The output at one point", run)
    caption += "" if len(shown) == points else f" {len(shown)} of {points} points are shown."
    control = Control("Point", tuple(labels), initial=tested)
    return _figure(run, ("prediction", "Predictions", caption), ("",), views, control)


def _figure(
    run: Gathered, words: tuple[str, str, str], panels: tuple[str, ...], views: list, *controls: Control
) -> Figure:
    """**Arguments:** `words`, id, title and caption; `controls`, further ones than what is shown."""
    shows, at = tuple(_shows(run)), _positions(run)
    every = (*controls, Control("Show", shows)) if len(shows) > 1 else controls
    axes = {axis: steps[own] for (axis, steps), own in zip(_steps(run).items(), at, strict=True)}
    reference = "" if run.theory is None or not run.widths else INFINITE
    return Figure(*words, panels, views, every, axes, reference=reference)


def _panel(
    run: Gathered,
    curve: Curve,
    width: int | None,
    axis: Mapping[str, object],
    target: float | None = None,
) -> Panel:
    """All widths as bands around infinite width, or one width against theory's band for it."""
    at_theory, at_numbers = _positions(run)
    data: list[Trace] = []
    floor = _floor(curve) if axis.get("type") == "log" else None
    for index, each in enumerate(run.widths):
        if each not in curve.mean or width not in (None, each):
            continue
        name, mean = f"N = {each}", curve.mean[each][at_numbers]
        if each in curve.std:
            std = curve.std[each][at_numbers]
            low = mean - std if floor is None else np.maximum(mean - std, floor)
            data += band(name, f"@w{index}/{0.13 if width is None else 0.25}", "numbers", low, mean + std)
        data.append(line(name, f"@w{index}", "numbers", mean, width=2))
    if curve.value is not None:
        data += _theory_lines(curve, at_theory, width, floor)
    steps = _steps(run)["theory" if run.numbers is None else "numbers"]
    layout: dict[str, object] = {"xaxis": step_axis(steps), "yaxis": dict(axis)}
    if target is not None:
        layout["shapes"] = [_target_line(target)]
    reference = None if curve.value is None else ("theory", plain(curve.value[at_theory], 6))
    return Panel(data, layout, reference)


def _theory_lines(curve: Curve, at: np.ndarray, width: int | None, floor: float | None) -> list[Trace]:
    assert curve.value is not None
    value = curve.value[at]
    if width is None or curve.variance is None:
        return [line(INFINITE, "@ink", "theory", value, width=2.5, dash="dash")]
    center = value if curve.shift is None else value + curve.shift[at] / width
    spread = np.sqrt(np.maximum(curve.variance[at], 0.0) / width)
    name = f"theory at N = {width}"
    low = center - spread if floor is None else np.maximum(center - spread, floor)
    edges = [
        line(name, "@ink", "theory", edge, width=1.2, dash="dot", hoverinfo="skip", mode="lines")
        for edge in (low, center + spread)
    ]
    thin = line(INFINITE, "@muted", "theory", value, width=1.2)
    return [thin, *edges, line(name, "@ink", "theory", center, width=2.2, dash="dash")]


def _curve(run: Gathered, name: str, index: tuple[int, ...]) -> Curve:
    def theory(suffix: str) -> np.ndarray | None:
        values = run.theory_values(name + suffix)
        return None if values is None or not np.isfinite(values).any() else values[:, *index]

    def measured(suffix: str) -> dict[int, np.ndarray]:
        found = {w: run.at_width(f"{name}_{suffix}", w) for w in run.widths}
        return {w: values[:, *index] for w, values in found.items() if values is not None}

    return Curve(theory(""), theory("_variance"), theory("_shift"), measured("mean"), measured("std"))


def _caption(what: str, run: Gathered) -> str:
    parts = [f"{what} while training."]
    if run.widths:
        parts.append("Lines: mean over seeds; bands: one standard deviation to either side.")
    if run.theory is not None:
        parts.append("Dashed: theory.")
    if run.theory is not None and "prediction_variance" in run.theory:
        parts.append(
            "Choose one width to see theory's mean and scatter for it (dotted) on the networks'; subtract "
            "infinite width to see them enlarged."
            if run.widths
            else "Choose one width to see theory's mean and scatter for it (dotted)."
        )
    return " ".join(parts)


def _sizes(run: Gathered, name: str, dims: tuple[str, ...]) -> tuple[int, ...] | None:
    if run.theory is not None and name in run.theory:
        return tuple(run.theory.sizes[d] for d in dims)
    if run.numbers is not None and f"{name}_mean" in run.numbers:
        array = run.numbers[f"{name}_mean"]
        if set(array.dims) == {"width", "step", *dims}:
            return tuple(array.sizes[d] for d in dims)
    return None


def _splits(run: Gathered) -> list[str]:
    known = (point_splits(data) for data in (run.theory, run.records) if data is not None)
    return next(filter(None, known), [])


def _split_of(run: Gathered, point: int) -> str:
    splits = _splits(run)
    return splits[point] if point < len(splits) else ""


def _split_names(run: Gathered, count: int) -> list[str]:
    names = list(dict.fromkeys(_splits(run)))
    return names if len(names) == count else [f"points {i + 1}" for i in range(count)]


def _target(run: Gathered, point: int, output: int) -> float | None:
    for data in (run.theory, run.records):
        if data is not None and "target" in data:
            found = float(data["target"].to_numpy()[point, output])
            return found if np.isfinite(found) else None
    return None


def _point_label(run: Gathered, point: int, output: int, outputs: int) -> str:
    target, split = _target(run, point, output), _split_of(run, point)
    label = f"{SPLITS.get(split, 'points')[:-1]} {point}".strip() + (
        f", output {output}" if outputs > 1 else ""
    )
    return label if target is None else f"{label} (target {plain([target])[0]})"


def _target_line(target: float) -> Trace:
    where = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": target, "y1": target}
    return {**where, "line": {"color": "@muted", "width": 1, "dash": "dot"}}


def _shows(run: Gathered) -> dict[str, int | None]:
    # Without networks theory's mean and scatter can still be seen at the widths of the study.
    known = run.theory is not None and (bool(run.widths) or "prediction_variance" in run.theory)
    single = {f"N = {w}": w for w in run.shown_widths} if known else {}
    return {"all widths" if run.widths else INFINITE if single else "theory": None, **single}


def _steps(run: Gathered) -> dict[str, np.ndarray]:
    """Those of theory and of networks, as far as there are any."""
    both = {"theory": run.theory, "numbers": run.numbers}
    return {axis: np.zeros(0, int) if data is None else step_labels(data) for axis, data in both.items()}


def _positions(run: Gathered) -> list[np.ndarray]:
    """Of the steps that are drawn, among theory's and among networks'."""
    return [chosen_steps(steps) for steps in _steps(run).values()]


def _floor(curve: Curve) -> float | None:
    """A tenth of the least mean: where a band that reaches below zero ends on logarithmic axes."""
    known = [v[np.isfinite(v) & (v > 0)] for v in (curve.value, *curve.mean.values()) if v is not None]
    least = [float(v.min()) for v in known if v.size]
    return 0.1 * min(least) if least else None
