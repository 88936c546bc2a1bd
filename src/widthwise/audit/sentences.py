"""What an audit found, in sentences for a practitioner."""

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from widthwise.analysis.ensembling import split_gap
from widthwise.analysis.extrapolate import reference
from widthwise.analysis.verdict import ClaimRow, Untested
from widthwise.audit.claims.bias import Ensembles, measure_ensembles
from widthwise.audit.claims.function_gaps import alive_curves, comparable
from widthwise.audit.claims.loss_curves import split_names
from widthwise.audit.ensemble_view import EnsembleView, NothingToCompare
from widthwise.audit.reading import sound
from widthwise.audit.remedies import cause
from widthwise.audit.theory_limit import ensemble_loss, loss_curve
from widthwise.wording import percent

CAUSE = "Inconsistent with correct scaling:"
DIVERGED = "Networks that diverged count until then:"
TOLERANCES = (0.01, 0.02, 0.05, 0.1, 0.2)
MOST_STRETCHES = 2
# Below so many seeds, resamples of them are too few for an interval; a wider one than this tells nothing.
FEWEST_SEEDS = 4
WIDEST_SHARE = 0.5


def summarize(
    measured: EnsembleView, rows: tuple[ClaimRow, ...], theory: xr.Dataset | None = None
) -> tuple[str, ...]:
    """The verdict's cause, how far each width can be trusted, and what of the gap is variance.

    **Arguments:** `theory` of the same study, whose infinite width is the reference then.
    """
    sentences = [_cause(measured, rows)]
    # Where scaling is wrong there is no limit to be near to.
    if not any(row.verdict == "inconsistent" for row in rows):
        sentences += _tracking(measured, theory)
        ensembles = measure_ensembles(measured)
        if not isinstance(ensembles, Untested):
            limit = None if theory is None else ensemble_loss(theory, measured, ensembles)
            sentences += shares(ensembles, limit)
    if measured.notes:
        sentences.append(f"Left out as copies of another network: {', '.join(measured.notes)}.")
    if measured.diverged.any():
        told = [
            f"{n} of N = {w}"
            for w, n in zip(measured.widths, measured.diverged.sum(axis=1), strict=True)
            if n
        ]
        sentences.append(f"{DIVERGED} {', '.join(told)}.")
    return tuple(sentence for sentence in sentences if sentence)


def _cause(measured: EnsembleView, rows: tuple[ClaimRow, ...]) -> str:
    """Of an inconsistency; the rest the verdict says itself."""
    bad = [row for row in rows if row.verdict == "inconsistent"]
    if bad:
        more = len(bad) - 1
        rest = f" ({more} more {'test fails' if more == 1 else 'tests fail'} with it.)" if more else ""
        return f"{CAUSE} {cause(measured, rows)}{rest}"
    if all(row.p_value is None for row in rows if row.judges):
        return "Nothing could be tested with these records."
    return ""


def _tracking(measured: EnsembleView, theory: xr.Dataset | None) -> list[str]:
    """Where the mean loss of each width is within a tolerance of its reference."""
    name = measured.first_of("loss", "batch_loss")
    if name is None or len(measured.widths) < 2:
        return []
    try:
        widths, steps = comparable(measured, measured.some_steps(512, name))
    except NothingToCompare:
        return []
    if len(widths) < 2:
        return []
    known = loss_curve(theory, measured, steps) if theory is not None and name == "loss" else None
    steps = steps if known is None else known[0]
    tables = alive_curves(measured, name, steps, widths)
    curves = [each[..., -1] for each in tables]
    if any(len(curve) < 2 or not np.isfinite(curve).all() for curve in curves):
        return []
    means = np.array([curve.mean(axis=0) for curve in curves])
    squared = np.array([curve.var(axis=0, ddof=1) / len(curve) for curve in curves])
    numbers = np.array([measured.widths[w] for w in widths], dtype=float)
    limit, errors, extrapolated = reference(numbers, means, squared)
    if known is not None:
        limit, errors = known[1], np.sqrt(squared + known[2] ** 2)
    what = "the extrapolated limit of infinite width" if extrapolated else f"N = {int(numbers[-1])}"
    what = what if known is None else "infinite width, as theory predicts it,"
    shown = range(len(widths)) if extrapolated or known is not None else range(len(widths) - 1)
    unit = np.abs(limit)
    if not (sound(limit) & (unit > 0)).all():
        return []
    loss = f"{split_names(measured, tables[0].shape[2])[-1]} loss" if name == "loss" else "batches' loss"
    loss = loss.removeprefix("all ")
    gaps, errors, labels = np.abs(means - limit) / unit, errors / unit, measured.steps[steps]
    return [tracking(int(numbers[w]), labels, gaps[w], errors[w], (what, loss)) for w in shown]


def tracking(
    width: int,
    steps: Int[np.ndarray, " step"],
    gap: Float[np.ndarray, " step"],
    error: Float[np.ndarray, " step"],
    words: tuple[str, str],
) -> str:
    """Where the mean loss of a width is near its reference, and how far away it is elsewhere.

    Named is the smallest tolerance that the gap keeps at half of the recorded steps or more, and at which of
    them it does not. What noise leaves open is not agreement: two standard errors are added to each gap.

    **Arguments:** `gap`, relative to the reference, and its standard `error`, at the recorded `steps`;
    `words`, the reference and the loss by name.
    """
    (what, loss), last, most = words, int(steps[-1]), gap + 2 * error
    tolerance = next((t for t in TOLERANCES if (most <= t).mean() >= 0.5), None)
    if tolerance is None:
        open_ = ", which noise hides: train more seeds." if gap[-1] <= 2 * error[-1] else "."
        return (
            f"The {loss} of N = {width} is {_share(gap[-1])} ± {_share(2 * error[-1])} away from that of "
            f"{what} at the last step, {last}{open_}"
        )
    begins = f"N = {width} tracks {what} within {_share(tolerance)} of the {loss}"
    if not (most > tolerance).any():
        return f"{begins} to the last step, {last}."
    return (
        f"{begins} except {_stretches(steps, most > tolerance)}, where it may be {_share(most.max())} away."
    )


def _stretches(steps: Int[np.ndarray, " step"], beyond: Bool[np.ndarray, " step"]) -> str:
    """The steps at which something holds, in words.

    >>> _stretches(np.array([0, 5, 10, 20, 40]), np.array([False, True, True, False, True]))
    'at steps 5 to 10 and 40'
    """
    padded = np.concatenate([[0], beyond.astype(int), [0]])
    edges: list[list[int]] = np.flatnonzero(np.diff(padded)).reshape(-1, 2).tolist()
    if len(edges) > MOST_STRETCHES:
        first, last = steps[edges[0][0]], steps[edges[-1][1] - 1]
        return f"at {beyond.sum()} of {len(steps)} recorded steps, between {first} and {last}"
    parts = [f"{steps[a]} to {steps[b - 1]}" if b - a > 1 else f"{steps[a]}" for a, b in edges]
    return ("at step " if beyond.sum() == 1 else "at steps ") + " and ".join(parts)


def _share(part: float) -> str:
    """A share as a reader calls it.

    >>> _share(0.02), _share(0.005), _share(31.2)
    ('2 %', '0.5 %', '31 times its size')
    """
    return f"{part:.2g} times its size" if part >= 10 else percent(part, 1)


def shares(ensembles: Ensembles, limit: float | None) -> list[str]:
    """Of each width's gap to infinite width: what ensembling removes, and what only width removes."""
    widths, found = list(ensembles.widths), []
    known = limit is not None or len(widths) > 3
    to = "infinite width" if known else f"an infinite ensemble of N = {widths[-1]}"
    for index in (0, len(widths) - 1) if known else (0,):
        gap = split_gap(widths, ensembles.found, index, 0.05, limit=limit)
        if gap.variance + gap.bias <= max(0.0, 2 * gap.error) or gap.variance <= 0:
            continue
        low, high = gap.interval
        begins = f"Of the remaining gap of N = {widths[index]} to {to} on {ensembles.split} points, "
        if min(len(each.curve) for each in ensembles.found) < FEWEST_SEEDS or high - low > WIDEST_SHARE:
            found.append(f"{begins}how much is variance is open: train more seeds.")
            continue
        found.append(
            f"{begins}{_share(gap.share)} is variance, which ensembling removes (95 % interval {_share(low)} "
            f"to {_share(high)}), and the rest is bias, which only width removes."
        )
    return found
