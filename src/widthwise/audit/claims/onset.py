"""Until when each width follows the widest: the onset of deviation."""

import numpy as np

from widthwise.audit.claim import Test, Untested
from widthwise.audit.claims.gaps import alive_curves, comparable
from widthwise.audit.claims.loss import split_names
from widthwise.audit.measured import Measured

CLAIM = "onset"
RESOLVED = 2.0


def tests(measured: Measured) -> list[Test] | Untested:
    r"""Descriptions, which judge nothing: t*_N, the first recorded step after which, twice in a row,
    |gap| / L(0) > `onset` and |gap| > 2 standard errors; the gap is to the widest width."""
    name = measured.first_of("loss", "batch_loss")
    if name is None:
        return Untested(claim=CLAIM, why="the records have no `loss`: record it")
    if len(measured.widths) < 2:
        return Untested(claim=CLAIM, why="there is one width: train at least 2, better 4")
    widths, steps = comparable(measured, measured.some_steps(512, name))
    settings = measured.settings
    splits = measured.records.sizes.get("split", 1) if name == "loss" else 1
    curves = [each[..., -1] for each in alive_curves(measured, name, steps, widths)]
    if any(len(curve) < 2 for curve in curves):
        return Untested(claim=CLAIM, why="a width has fewer than two networks: train more seeds")
    mean = [curve.mean(axis=0) for curve in curves]
    error = [curve.var(axis=0, ddof=1) / len(curve) for curve in curves]
    unit = abs(float(mean[-1][0])) or 1.0
    found = []
    for index, width in enumerate(widths[:-1]):
        gap = np.abs(mean[index] - mean[-1])
        off = (gap > settings.onset * unit) & (gap > RESOLVED * np.sqrt(error[index] + error[-1]))
        twice = np.flatnonzero(off[:-1] & off[1:])
        when = int(measured.steps[steps[twice[0]]]) if len(twice) else None
        n, last = measured.widths[width], int(measured.steps[steps[-1]])
        until = f"until step {when}" if when is not None else f"to the last step, {last}"
        found.append(
            Test(
                claim=CLAIM,
                where={
                    "width": n,
                    "split": split_names(measured, splits)[-1],
                    "reference": measured.widths[-1],
                },
                estimate=None if when is None else float(when),
                advice_good=f"N = {n} follows N = {measured.widths[widths[-1]]} within "
                f"{settings.onset:.0%} of the initial loss {until}.",
            )
        )
    return found
