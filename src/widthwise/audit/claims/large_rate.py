"""What large learning rates do, they do at every width: stability, sharpness, catapults."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from widthwise.analysis.verdict import SYMPTOM, Test, Untested
from widthwise.audit.claims.function_gaps import Block, alive_blocks, comparable, gap_test
from widthwise.audit.ensemble_view import EnsembleView, NothingToCompare

CLAIM = "large_rate"


@dataclass(frozen=True)
class _Counts:
    """Networks at either end, for the resolution of Fisher's test."""

    narrow: int
    wide: int

    def smallest(self, level: float, more: int = 0, finer: float = 1.0) -> float:
        """The smallest share of diverging wide networks, none of the narrow ones diverging, that is seen."""
        narrow, wide = self.narrow + more, self.wide + more
        for bad in range(1, wide + 1):
            if stats.hypergeom.sf(bad - 1, narrow + wide, bad, wide) <= level:
                return bad / wide
        return np.inf


def tests(measured: EnsembleView) -> list[Test] | Untested:
    """Wide networks do not diverge more often; sharpness curves, largest losses and their spikes agree."""
    found = [_divergence(measured)] if len(measured.widths) > 1 else []
    name = measured.first_of("batch_loss", "loss")
    for variable, what in (("sharpness", "sharpness"), (name, "largest loss over the initial one")):
        if variable is None or not measured.has(variable, "step"):
            continue
        try:
            found += _curves(measured, variable, what)
        except NothingToCompare:
            continue
    return found or Untested(claim=CLAIM, why="there is one width: train at least 2, better 4")


def _curves(measured: EnsembleView, name: str, quantity: str) -> list[Test]:
    """Gaps of sharpness, or of the largest losses if more than two steps can be compared."""
    grid = comparable(measured, measured.some_steps(64, name))
    widths, steps = grid
    sharpness = name == "sharpness"
    if not sharpness and len(steps) < 3:
        return []
    read = _positive if sharpness else _catapults
    products = measured.products(widths, read(measured, name, grid))
    where = {"quantity": quantity, "until_step": int(measured.steps[steps[-1]])}
    what = "sharpness curves" if sharpness else "largest losses"
    return [gap_test(measured, CLAIM, products, where, what=what, size=1.0)]


def _divergence(measured: EnsembleView) -> Test:
    """Fisher's exact test, one-sided, of the wider half against the narrower: narrow networks may diverge
    more, since they fluctuate more. Where none diverged there is nothing to judge."""
    half = len(measured.widths) // 2
    bad, all_ = measured.diverged.sum(axis=1), (measured.trained | measured.diverged).sum(axis=1)
    narrow, wide = (bad[:half].sum(), all_[:half].sum()), (bad[-half:].sum(), all_[-half:].sum())
    where = {"quantity": "diverged networks", "width": measured.widths[-1]}
    if not narrow[1] or not wide[1]:
        return Test(claim=CLAIM, where=where, weak="A width has no trained network: train them.")
    if not bad.any():
        told = f"None of {all_.sum()} networks diverged."
        return Test(claim=CLAIM, where=where, estimate=0.0, expected=0.0, advice_good=told)
    p = float(stats.hypergeom.sf(wide[0] - 1, narrow[1] + wide[1], narrow[0] + wide[0], wide[1]))
    told = f"{wide[0]} of {wide[1]} wide and {narrow[0]} of {narrow[1]} narrow networks diverged"
    return Test(
        claim=CLAIM,
        where=where,
        estimate=float(wide[0] / wide[1] - narrow[0] / narrow[1]),
        expected=0.0,
        p_value=p,
        power=_Counts(int(narrow[1]), int(wide[1])),
        useful=1.0,
        advice_good=f"Wide networks diverge no more than narrow ones: {told}.",
        advice_bad=f"The largest stable learning rate falls with the width: {told}.",
        depth=SYMPTOM,
    )


def _positive(measured: EnsembleView, name: str, grid: tuple[list[int], list[int]]) -> Iterator[Block]:
    """Each step in units of the mean size over all networks."""
    for _, block in alive_blocks(measured, name, grid[1], grid[0]):
        mean = np.mean([np.abs(values).mean(axis=0) for values in block], axis=0)
        good = np.isfinite(mean) & (mean > 0)
        yield [values[:, good] / mean[good] for values in block]


def _catapults(measured: EnsembleView, name: str, grid: tuple[list[int], list[int]]) -> Iterator[Block]:
    """The logarithm of each network's largest loss over its initial one."""
    largest: list[np.ndarray] | None = None
    first: list[np.ndarray] = []
    for _, block in alive_blocks(measured, name, grid[1], grid[0]):
        curves = [values.reshape(*values.shape[:2], -1)[..., -1] for values in block]
        if largest is None:
            first = [curve[:, 0] for curve in curves]
            largest = first
        largest = [np.maximum(old, curve.max(axis=1)) for old, curve in zip(largest, curves, strict=True)]
    if largest is not None:
        with np.errstate(all="ignore"):
            ratios = [np.log(most / start) for most, start in zip(largest, first, strict=True)]
        if all((start > 0).all() and np.isfinite(r).all() for start, r in zip(first, ratios, strict=True)):
            yield [r[:, None] for r in ratios]
