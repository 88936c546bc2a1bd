"""The classical coordinate check: sizes of layers and effects of updates against width, step by step."""

import math
from dataclasses import dataclass

import numpy as np

from widthwise.audit.ensemble_view import EnsembleView

MOST_STEPS = 6
KINDS = {"forward_rms": "layer", "forward_change_rms": "layer", "update_effect_rms": "tensor"}
Table = tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Curves:
    """One quantity of one layer or tensor: its geometric mean over seeds at each (step, width), None where it
    is not positive."""

    quantity: str
    name: str
    values: Table


@dataclass(frozen=True)
class CoordinateCheck:
    """Root mean squares that must not depend on the width, at `steps` early in training."""

    widths: tuple[int, ...]
    steps: tuple[int, ...]
    curves: tuple[Curves, ...]

    def __post_init__(self) -> None:
        for curve in self.curves:
            if len(curve.values) != len(self.steps) or any(len(r) != len(self.widths) for r in curve.values):
                raise ValueError("curves are not by step and width")


def coordinate_check(measured: EnsembleView) -> CoordinateCheck | None:
    """Of everything recorded; None where nothing was, or at one width."""
    last = len(measured.steps) - 1
    steps = [int(s) for s in np.unique(np.geomspace(1, last + 1, MOST_STEPS).round()) - 1] if last else [0]
    curves = []
    for quantity, kind in KINDS.items():
        if not measured.has(quantity, kind, "step"):
            continue
        numbers = measured.numbers(quantity)
        for index, name in enumerate(measured.names(kind, "layer_name")):
            table = [[_mean(values[:, step, index]) for values in numbers] for step in steps]
            if any(value is not None for row in table for value in row):
                curves.append(Curves(quantity, name, tuple(tuple(row) for row in table)))
    if not curves or len(measured.widths) < 2:
        return None
    return CoordinateCheck(measured.widths, tuple(int(measured.steps[s]) for s in steps), tuple(curves))


def _mean(values: np.ndarray) -> float | None:
    positive = values[np.isfinite(values) & (values > 0)]
    mean = float(np.exp(np.log(positive).mean())) if len(positive) else math.nan
    return mean if math.isfinite(mean) else None
