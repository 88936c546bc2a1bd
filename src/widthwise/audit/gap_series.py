"""How far networks of each width are from the widest at each step, for the slider of the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from jaxtyping import Float
from pydantic import Field

from widthwise.analysis.gaps import Products
from widthwise.audit.claims.loss_curves import split_names
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.audit.reading import sound
from widthwise.progress import SILENT, Progress

MOST_STEPS = 48
DIGITS = 4
Numbers = list[float | None]
Rows = list[Numbers]


@dataclass(frozen=True)
class Gap:
    """One quantity: rows a width, columns a step; None where nothing is known.

    **Fields:** `gap`, of the mean over seeds to that of the widest, relative to the widest's; of predictions
    the root mean square distance without the noise of the means, of a loss with its sign; `noise`, standard
    error of that; `single`, typical distance of one network; `size`, at each step, of the widest's, empty if
    unknown.
    """

    quantity: str
    gap: Rows
    noise: Rows
    single: Rows
    size: Numbers = field(default_factory=list)


@dataclass(frozen=True)
class Gaps:
    """Gaps of all widths to the widest one, `reference`, at some of the recorded steps."""

    reference: int
    widths: tuple[int, ...]
    steps: tuple[int, ...]
    gaps: Annotated[tuple[Gap, ...], Field(alias="quantities")]

    def __post_init__(self) -> None:
        whole = [len(self.steps)] * len(self.widths)
        tables = [table for gap in self.gaps for table in (gap.gap, gap.noise, gap.single)]
        if len(self.widths) < 2 or not whole[0] or any([*map(len, table)] != whole for table in tables):
            raise ValueError("gaps are not by width and step")
        if any(gap.size and len(gap.size) != whole[0] for gap in self.gaps):
            raise ValueError("sizes are not by step")


@np.errstate(all="ignore")  # what overflows is not finite, and is not shown
def measure_gaps(measured: EnsembleView, progress: Progress = SILENT) -> Gaps | None:
    """Gaps of predictions and losses; None with fewer than two widths that have networks.

    A few steps at a time: memory does not grow with the records.
    """
    names = [name for name in ("prediction", "loss") if measured.has(name, "step")]
    widths = [w for w in range(len(measured.widths)) if measured.trained[w].any()]
    if len(widths) < 2 or not names:
        return None
    steps = measured.some_steps(MOST_STEPS)
    progress.start("gaps between widths", len(names) * len(steps))
    found = [gap for name in names for gap in _gaps_of(measured, name, (widths, steps), progress)]
    labels = tuple(measured.widths[w] for w in widths)
    return Gaps(labels[-1], labels, tuple(int(measured.steps[s]) for s in steps), tuple(found))


def _gaps_of(
    measured: EnsembleView, name: str, grid: tuple[list[int], list[int]], progress: Progress
) -> list[Gap]:
    (widths, steps), labels = grid, ["prediction"] if name == "prediction" else _losses(measured)
    numbers = np.full((len(labels), 3, len(widths), len(steps)), math.nan)
    sizes = np.full((len(labels), len(steps)), math.nan)
    for column, (block, usable) in enumerate(_by_step(measured, name, widths, steps)):
        counted = [values[usable[w]] for values, w in zip(block, widths, strict=True)]
        flat = [v.reshape(len(v), math.prod(v.shape[1:])) for v in counted]
        flat = [v[sound(v).all(axis=1)] for v in flat]
        for at in range(len(labels)):
            own = flat if name == "prediction" else [v[:, [at]] for v in flat]
            table = distances(own) if name == "prediction" else differences([v[:, 0] for v in own])
            numbers[at, :, :, column] = table
            sizes[at, column] = _size(own[-1])
        progress.advance()
    return [
        Gap(label, *(_rows(table) for table in tables), size=_rows(size[None])[0])
        for label, tables, size in zip(labels, numbers, sizes, strict=True)
        if np.isfinite(tables).any()
    ]


def _by_step(measured: EnsembleView, name: str, widths: Sequence[int], steps: Sequence[int]):
    """Each step's values at each width, and which networks count there."""
    for part in measured.slabs(name, steps):
        block = [measured.read(name, width, part) for width in widths]
        for at, step in enumerate(part):
            yield [values[:, at] for values in block], measured.usable(step)


def distances(functions: Sequence[Float[np.ndarray, "_ element"]]) -> Float[np.ndarray, "3 width"]:
    r"""For each width $\sqrt{|\bar f_N - \bar f_M|^2 - V_N/E_N - V_M/E_M}$, the root of what was subtracted,
    and $\sqrt{D^2 + V_N}$, over the root mean square of the widest's mean; 0 where below noise."""
    found = np.full((3, len(functions)), math.nan)
    able = [w for w, f in enumerate(functions) if len(f)]
    size = _size(functions[-1])
    if not size > 0:
        return found
    flat = np.concatenate([functions[w] for w in able])
    owner = np.repeat(np.arange(len(able)), [len(functions[w]) for w in able])
    centered = flat - flat.mean(axis=0)
    products = Products(tuple(able), owner, centered @ centered.T / max(1, flat.shape[1]))
    last = len(able) - 1
    noise = np.nan_to_num([products.floor(at) for at in range(len(able))])
    for at, width in enumerate(able):
        both = 0.0 if at == last else noise[at] + noise[last]
        square = max((0.0 if at == last else products.observed(at, last)) - both, 0.0)
        single = square + noise[at] * products.seeds(at)
        found[:, width] = np.sqrt([square, both, single]) / size
    return found


def differences(losses: Sequence[Float[np.ndarray, " _"]]) -> Float[np.ndarray, "3 width"]:
    """For each width the relative difference of mean losses to the widest, its standard error, and the
    typical distance of one network."""
    found = np.full((3, len(losses)), math.nan)
    if not len(losses[-1]) or not losses[-1].mean() > 0:
        return found
    variances = [float(v.var(ddof=1)) if len(v) > 1 else 0.0 for v in losses]
    noise = [spread / max(1, len(v)) for spread, v in zip(variances, losses, strict=True)]
    size, last = float(losses[-1].mean()), len(losses) - 1
    for width, values in enumerate(losses):
        if len(values):
            gap = float(values.mean()) - size
            both = 0.0 if width == last else noise[width] + noise[-1]
            found[:, width] = np.array([gap, math.sqrt(both), math.sqrt(gap**2 + variances[width])]) / size
    return found


def _size(values: Float[np.ndarray, "seed element"]) -> float:
    """Root mean square of the mean over seeds."""
    return math.sqrt(float((values.mean(axis=0) ** 2).mean())) if len(values) else math.nan


def _losses(measured: EnsembleView) -> list[str]:
    """A name for each split's loss."""
    count = measured.records.sizes.get("split", 1) if "split" in measured.records["loss"].dims else 1
    return ["loss"] if count == 1 else [f"loss, {name}" for name in split_names(measured, count)]


def _rows(table: Float[np.ndarray, "row column"]) -> Rows:
    """As a file keeps them: a few digits, None for what is not finite."""
    return [
        [float(f"{v:.{DIGITS}g}") if math.isfinite(v) else None for v in map(float, row)] for row in table
    ]
