"""What an audit found, in sentences for a practitioner."""

import numpy as np
import xarray as xr

from widthwise.analysis.ensembling import split_gap
from widthwise.analysis.extrapolate import reference
from widthwise.analysis.verdict import ClaimRow, Untested
from widthwise.audit.claims.bias import Ensembles, measure_ensembles
from widthwise.audit.claims.function_gaps import alive_curves, comparable
from widthwise.audit.claims.loss_curves import split_names
from widthwise.audit.ensemble_view import EnsembleView, NothingToCompare
from widthwise.audit.reading import sound
from widthwise.audit.theory_limit import ensemble_loss, loss_curve

TOLERANCES = (0.01, 0.02, 0.05, 0.1, 0.2)


def summarize(
    measured: EnsembleView, rows: tuple[ClaimRow, ...], theory: xr.Dataset | None = None
) -> tuple[str, ...]:
    """The verdict's cause, how far each width can be trusted, and what of the gap is variance.

    **Arguments:** `theory` of the same study, whose infinite width is the reference then.
    """
    sentences = [_cause(rows)]
    # Where scaling is wrong there is no limit to be near to.
    if not any(row.verdict == "inconsistent" for row in rows):
        sentences += _tracking(measured, theory)
        ensembles = measure_ensembles(measured)
        if not isinstance(ensembles, Untested):
            limit = None if theory is None else ensemble_loss(theory, measured, ensembles)
            sentences += _shares(ensembles, limit)
    if measured.notes:
        sentences.append(f"Left out as copies of another network: {', '.join(measured.notes)}.")
    if measured.diverged.any():
        told = [
            f"{n} of N = {w}"
            for w, n in zip(measured.widths, measured.diverged.sum(axis=1), strict=True)
            if n
        ]
        sentences.append(f"Networks that diverged count until then: {', '.join(told)}.")
    return tuple(sentence for sentence in sentences if sentence)


def _cause(rows: tuple[ClaimRow, ...]) -> str:
    """Of an inconsistency; the rest the verdict says itself."""
    bad = [row for row in rows if row.verdict == "inconsistent"]
    if bad:
        rest = f" ({len(bad) - 1} more tests fail with it.)" if len(bad) > 1 else ""
        return f"Inconsistent with correct scaling: {bad[0].advice}{rest}"
    if all(row.p_value is None for row in rows if row.judges):
        return "Nothing could be tested with these records."
    return ""


def _tracking(measured: EnsembleView, theory: xr.Dataset | None) -> list[str]:
    """Until which step the mean loss of each width is within a tolerance of its reference."""
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
    what = what if known is None else "infinite width, as theory has it,"
    shown = range(len(widths)) if extrapolated or known is not None else range(len(widths) - 1)
    unit = np.abs(limit)
    if not (sound(limit) & (unit > 0)).all():
        return []
    # What noise leaves open is not agreement: the upper end of the gap counts.
    gaps = (np.abs(means - limit) + 2 * errors) / unit
    loss = f"{split_names(measured, tables[0].shape[2])[-1]} loss" if name == "loss" else "batches' loss"
    loss = loss.removeprefix("all ")
    return [_until(measured, int(numbers[w]), gaps[w], steps, (what, loss)) for w in shown]


def _until(
    measured: EnsembleView, width: int, gap: np.ndarray, steps: list[int], words: tuple[str, str]
) -> str:
    """The smallest tolerance kept for at least half of the recorded steps, and until when; then the smallest
    one that is kept to the last step. `words`, the reference and the loss by name."""
    last, (what, loss) = len(gap), words
    kept = {}
    for tolerance in TOLERANCES:
        beyond = np.flatnonzero(gap > tolerance)
        kept[tolerance] = int(beyond[0]) if len(beyond) else last
    first = next((t for t in TOLERANCES if kept[t] >= last / 2), TOLERANCES[-1])
    if not kept[first]:
        return f"Whether N = {width} is within {first:.0%} of {what} is open: train more seeds, or wider."
    begins = f"N = {width} tracks {what} within {first:.0%} of the {loss}"
    if kept[first] == last:
        return f"{begins} to the last step, {int(measured.steps[steps[-1]])}."
    begins += f" until step {int(measured.steps[steps[kept[first] - 1]])}"
    whole = next((t for t in TOLERANCES if kept[t] == last), None)
    end = f"within {whole:.0%} to the last, " if whole else f"not within {TOLERANCES[-1]:.0%} to the last, "
    return f"{begins}, and {end}{int(measured.steps[steps[-1]])}."


def _shares(ensembles: Ensembles, limit: float | None) -> list[str]:
    """Of each width's gap to infinite width: what ensembling removes, and what only width removes."""
    found = []
    for index in (0, len(ensembles.widths) - 1):
        gap = split_gap(ensembles.widths, ensembles.found, index, 0.05, limit=limit)
        if gap.variance + gap.bias <= max(0.0, 2 * gap.error) or gap.variance <= 0:
            continue
        found.append(
            f"Of the remaining gap of N = {ensembles.widths[index]} to infinite width on {ensembles.split} "
            f"points, {gap.share:.0%} is variance (ensembling removes it) and {1 - gap.share:.0%} bias (only "
            "width removes it)."
        )
    return found
