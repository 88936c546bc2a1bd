"""What further networks would tell, before they are trained; and which are cheapest."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from widthwise.forecast.backtest import LEVEL
from widthwise.forecast.curves import Curves
from widthwise.forecast.law import Law, fit_law

FACTORS = (2, 4)
LADDER = 2**0.5
MOST_SEEDS = 8


@dataclass(frozen=True)
class Design:
    """Further networks: `seeds` of each of `widths`, which cost `cost`, and the half width, relative to the
    loss, of the interval at the last step that is then expected at the target width."""

    widths: tuple[int, ...]
    seeds: int
    cost: float
    half: float

    def __str__(self) -> str:
        named = ", ".join(map(str, self.widths))
        seeds, widths = ("s" if count > 1 else "" for count in (self.seeds, len(self.widths)))
        return f"{self.seeds} more seed{seeds} of width{widths} {named}"


def half_width(law: Law, target: float) -> float:
    """Half the interval of the mean loss at the last step, over the loss."""
    told = law.at(target, float(np.median(law.curves.seeds))).last
    low, high = (told.quantile(edge)[-1] for edge in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float((high - low) / 2 / max(abs(float(told.quantile(0.5)[-1])), 1e-300))


def designs(law: Law, target: float) -> list[Design]:
    """More seeds of all trained widths, and networks of wider ones below the target, cheapest first.

    Expected is the interval of the law refitted with the new networks where it foretells them, and the noise
    of seeds as it was measured. Cost: 6 N^2 T floating-point operations a network, N^2 the order of its
    weights and T the steps.
    """
    curves = law.curves
    steps = float(curves.steps[-1])
    found = []
    for widths, seeds in _candidates(curves, target):
        grown = curves
        for width in widths:
            grown = _with(grown, law, float(width), seeds)
        cost = 6.0 * steps * seeds * float(np.sum(np.square(np.array(widths, dtype=float))))
        found.append(Design(widths, seeds, cost, half_width(fit_law(grown), target)))
    return sorted(found, key=lambda design: design.cost)


def _candidates(curves: Curves, target: float) -> Iterator[tuple[tuple[int, ...], int]]:
    trained = tuple(int(width) for width in curves.widths)
    seeds = max(1, int(np.median(curves.seeds)))
    for factor in FACTORS:
        yield trained, (factor - 1) * seeds
    width = trained[-1] * LADDER
    while width < 0.99 * target:
        wide = 8 * max(1, round(width / 8)) if width >= 16 else round(width)
        for count in sorted({1, seeds, 2 * seeds}):
            yield (wide,), min(count, MOST_SEEDS)
        width *= LADDER


def _with(curves: Curves, law: Law, width: float, seeds: int) -> Curves:
    """Curves with further networks of a width: scattered as the widest measured ones about what is told."""
    at = np.flatnonzero(curves.widths == width)
    several = curves.losses[curves.seeds > 1]
    source = several[-1] if len(several) else curves.losses[-1]
    source = source[np.isfinite(source[:, 0])]
    left = source - source.mean(axis=0)
    new = law.at(width, np.inf).quantile(0.5) + np.resize(left, (seeds, left.shape[1]))
    if len(at):
        old = curves.losses[at[0]]
        new = np.concatenate(
            [old[np.isfinite(old[:, 0])], old[np.isfinite(old[:, 0])].mean(axis=0) + new - new.mean(axis=0)]
        )
    size = max(curves.losses.shape[1], len(new))
    wider = np.full((len(curves.widths) + (not len(at)), size, len(curves.steps)), np.nan)
    widths = curves.widths if len(at) else np.append(curves.widths, width)
    wider[: len(curves.widths), : curves.losses.shape[1]] = curves.losses
    row = int(at[0]) if len(at) else len(curves.widths)
    wider[row] = np.nan
    wider[row, : len(new)] = new
    order = np.argsort(widths)
    return replace(curves, widths=widths[order], losses=wider[order])
