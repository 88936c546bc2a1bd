"""Until when each width follows the limit: the onset of deviation."""

import numpy as np

from widthwise.analysis.extrapolate import reference
from widthwise.analysis.verdict import Test, Untested
from widthwise.audit.claims.function_gaps import alive_curves, comparable
from widthwise.audit.claims.loss_curves import split_names
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.wording import percent

CLAIM = "onset"
RESOLVED = 2.0


def tests(measured: EnsembleView) -> list[Test] | Untested:
    r"""Descriptions, which judge nothing: t*_N, the first recorded step after which, twice in a row,
    |gap| / L(0) > `onset` and |gap| > 2 standard errors; the gap is to infinite width, extrapolated as 1/N,
    with four or more widths, else to the widest."""
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
    means = np.array([curve.mean(axis=0) for curve in curves])
    squared = np.array([curve.var(axis=0, ddof=1) / len(curve) for curve in curves])
    numbers = [measured.widths[w] for w in widths]
    unit = abs(float(means[-1][0])) or 1.0
    limit, errors, extrapolated = reference(np.array(numbers, dtype=float), means, squared)
    name = "infinite width" if extrapolated else f"N = {numbers[-1]}"
    split, last = split_names(measured, splits)[-1], int(measured.steps[steps[-1]])
    found = []
    for at, n in enumerate(numbers if extrapolated else numbers[:-1]):
        gap = np.abs(means[at] - limit)
        off = (gap > settings.onset * unit) & (gap > RESOLVED * errors[at])
        twice = np.flatnonzero(off[:-1] & off[1:])
        when = int(measured.steps[steps[twice[0]]]) if len(twice) else None
        share = f"{percent(settings.onset)} of the initial loss"
        told = f"N = {n} is first more than {share} away from {name} at step {when}."
        if when is None:
            told = f"N = {n} follows {name} within {share} to the last step, {last}."
        found.append(
            Test(
                claim=CLAIM,
                where={"width": n, "split": split, "reference": name},
                estimate=None if when is None else float(when),
                advice_good=told,
            )
        )
    return found
