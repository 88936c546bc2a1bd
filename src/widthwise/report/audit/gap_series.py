"""How far networks of each width are from the widest at each step, for the slider of the page."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr
from jaxtyping import Float

from widthwise.audit import AuditSettings
from widthwise.audit.ensemble_view import EnsembleView, measure
from widthwise.audit.reading import sound
from widthwise.progress import SILENT, Progress
from widthwise.report.figure import plain

MOST_STEPS = 48
Numbers = list[float | int | None]
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
    """Gaps of all widths to the widest one, at some of the recorded steps."""

    widths: tuple[int, ...]
    steps: tuple[int, ...]
    gaps: tuple[Gap, ...]

    def to_json(self) -> dict[str, object]:
        """As `verdict.json` keeps it, under "gaps"."""
        return {
            "reference": self.widths[-1],
            "widths": list(self.widths),
            "steps": list(self.steps),
            "quantities": [
                {"quantity": g.quantity, "gap": g.gap, "noise": g.noise, "single": g.single, "size": g.size}
                for g in self.gaps
            ],
        }


@np.errstate(all="ignore")  # what overflows is not finite, and is not shown
def measure_gaps(records: xr.Dataset, *, progress: Progress = SILENT) -> Gaps | None:
    """Gaps of predictions and losses; None with fewer than two widths that have networks.

    A few steps at a time: memory does not grow with the records.
    """
    measured = measure(records, 0.05, AuditSettings())
    names = [name for name in ("prediction", "loss") if measured.has(name, "step")]
    widths = [w for w in range(len(measured.widths)) if measured.trained[w].any()]
    if len(widths) < 2 or not names:
        return None
    steps = measured.some_steps(MOST_STEPS)
    found = []
    progress.start("gaps between widths", len(names) * len(steps))
    for name in names:
        found += _gaps_of(measured, name, widths, steps, progress)
    labels = tuple(measured.widths[w] for w in widths)
    return Gaps(labels, tuple(int(measured.steps[s]) for s in steps), tuple(found))


def _gaps_of(
    measured: EnsembleView, name: str, widths: Sequence[int], steps: Sequence[int], progress: Progress
) -> list[Gap]:
    labels = ["prediction"] if name == "prediction" else _splits(measured)
    numbers = np.full((len(labels), 3, len(widths), len(steps)), math.nan)
    sizes = np.full((len(labels), len(steps)), math.nan)
    column = 0
    for part in measured.slabs(name, steps):
        block = [measured.read(name, width, part) for width in widths]
        for at, step in enumerate(part):
            usable = measured.usable(step)
            values = [block[i][usable[w], at] for i, w in enumerate(widths)]
            flat = [v.reshape(len(v), math.prod(v.shape[1:])) for v in values]
            flat = [v[sound(v).all(axis=1)] for v in flat]
            if name == "prediction":
                numbers[0, :, :, column] = distances(flat)
                sizes[0, column] = _size(flat[-1])
            else:
                for split in range(len(labels)):
                    numbers[split, :, :, column] = differences([v[:, split] for v in flat])
                    sizes[split, column] = _size(flat[-1][:, [split]])
            column += 1
            progress.advance()
    return [
        Gap(label, *([plain(row) for row in table] for table in tables), size=plain(size))
        for label, tables, size in zip(labels, numbers, sizes, strict=True)
        if np.isfinite(tables).any()
    ]


def distances(functions: Sequence[Float[np.ndarray, "_ element"]]) -> Float[np.ndarray, "3 width"]:
    r"""For each width $\sqrt{|\bar f_N - \bar f_M|^2 - V_N/E_N - V_M/E_M}$, the root of what was subtracted,
    and $\sqrt{D^2 + V_N}$, over the root mean square of the widest's mean; 0 where below noise."""
    found = np.full((3, len(functions)), math.nan)
    if not len(functions[-1]):
        return found
    size = _size(functions[-1])
    noise = [_variance(f) / max(len(f), 1) for f in functions]
    for width, values in enumerate(functions):
        if not len(values) or not size > 0:
            continue
        last = width == len(functions) - 1
        apart = float(((values.mean(axis=0) - functions[-1].mean(axis=0)) ** 2).mean())
        both = 0.0 if last else noise[width] + noise[-1]
        square = max(apart - both, 0.0)
        found[:, width] = np.sqrt([square, both, square + _variance(values)]) / size
    return found


def differences(losses: Sequence[Float[np.ndarray, " _"]]) -> Float[np.ndarray, "3 width"]:
    """For each width the relative difference of mean losses to the widest, its standard error, and the
    typical distance of one network."""
    found = np.full((3, len(losses)), math.nan)
    if not len(losses[-1]) or not losses[-1].mean() > 0:
        return found
    size, last = float(losses[-1].mean()), len(losses) - 1
    for width, values in enumerate(losses):
        if len(values):
            gap, spread = float(values.mean()) - size, _variance(values[:, None])
            both = (
                0.0
                if width == last
                else spread / len(values) + _variance(losses[-1][:, None]) / len(losses[-1])
            )
            found[:, width] = np.array([gap, math.sqrt(both), math.sqrt(gap**2 + spread)]) / size
    return found


def read_gaps(content: object) -> Gaps | None:
    """Gaps from their JSON; None for anything else."""
    if not isinstance(content, Mapping):
        return None
    try:
        widths, steps = (tuple(int(v) for v in content[name]) for name in ("widths", "steps"))
        gaps = tuple(
            Gap(
                str(g["quantity"]),
                *(_rows(g[name], len(widths), len(steps)) for name in ("gap", "noise", "single")),
                size=_rows([g["size"]], 1, len(steps))[0] if g.get("size") else [],
            )
            for g in content["quantities"]
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return Gaps(widths, steps, gaps) if gaps and len(widths) > 1 and steps else None


def _rows(content: object, height: int, length: int) -> Rows:
    array = np.array(content, dtype=float)
    if array.shape != (height, length):
        raise ValueError(f"shape {array.shape}")
    return [plain(row) for row in array]


def _size(values: Float[np.ndarray, "seed element"]) -> float:
    """Root mean square of the mean over seeds."""
    return math.sqrt(float((values.mean(axis=0) ** 2).mean())) if len(values) else math.nan


def _variance(values: Float[np.ndarray, "seed element"]) -> float:
    return float(values.var(axis=0, ddof=1).mean()) if len(values) > 1 else 0.0


def _splits(measured: EnsembleView) -> list[str]:
    count = measured.records.sizes.get("split", 1) if "split" in measured.records["loss"].dims else 1
    coordinate = measured.records.coords.get("split")
    names = [] if coordinate is None or coordinate.ndim != 1 else [str(n) for n in coordinate.to_numpy()]
    names = list(dict.fromkeys(names))
    named = names if len(names) == count else [str(index) for index in range(count)]
    return ["loss"] if count == 1 else [f"loss, {name}" for name in named]
