"""How much worse narrow networks are than wide ones after ensembling: the bias of narrower width."""

from dataclasses import dataclass

import numpy as np

from widthwise.analysis.ensembling import DRAWS, Ensembling, measure_ensembling
from widthwise.analysis.families import family_counts
from widthwise.analysis.seeds import recentered_interval
from widthwise.analysis.verdict import Test, Untested
from widthwise.audit.claims.classes import loss_kind, outputs_of, points_of, read_points, targets_at
from widthwise.audit.claims.function_gaps import comparable
from widthwise.audit.ensemble_view import EnsembleView, NothingToCompare
from widthwise.audit.reading import sound

CLAIM = "narrow_bias"


@dataclass(frozen=True)
class Ensembles:
    """Ensembling at every width that has networks, at one step and one split's points."""

    widths: tuple[int, ...]
    step: int
    split: str
    found: tuple[Ensembling, ...]


def tests(measured: EnsembleView) -> list[Test] | Untested:
    r"""Two descriptions, which judge nothing: finite-width theory expects a bias ~ 1/N.

    Weak: $B^2_N - B^2_{ref} > 0$ between the narrowest and the widest width, relative to the loss of one
    widest network. Strong: an infinite ensemble of the narrowest loses to one network of a wider width.
    """
    ensembles = measure_ensembles(measured)
    if isinstance(ensembles, Untested):
        return ensembles
    narrow, wide = ensembles.found[0], ensembles.found[-1]
    where = {"step": ensembles.step, "split": ensembles.split, "width": ensembles.widths[0]}
    return [_weak(measured, ensembles, where, (narrow, wide)), _strong(measured, ensembles, where)]


def measure_ensembles(measured: EnsembleView) -> Ensembles | Untested:
    """At the last step at which all widths have two networks, on held-out points where there are some."""
    return measured.once("ensembles", lambda: _measure(measured))


def _measure(measured: EnsembleView) -> Ensembles | Untested:
    if why := measured.missing("prediction"):
        return Untested(claim=CLAIM, why=why)
    if set(map(str, measured.records["prediction"].dims)) != {"width", "seed", "step", "point", "output"}:
        return Untested(claim=CLAIM, why="`prediction` is not by (width, seed, step, point, output)")
    target = targets_at(measured, read_points(measured))
    if target is None:
        return Untested(claim=CLAIM, why="there is no finite `target` (point, output): write the targets")
    try:
        widths, steps = comparable(measured, measured.some_steps(64, "prediction"))
    except NothingToCompare as reason:
        return Untested(claim=CLAIM, why=str(reason))
    step = steps[-1]
    outputs = [outputs_of(measured, w, step)[measured.usable(step)[w]] for w in widths]
    outputs = [each[sound(each).all(axis=(1, 2))] for each in outputs]
    if len(widths) < 2 or any(len(each) < 2 for each in outputs):
        return Untested(claim=CLAIM, why="it takes two widths with two networks each: train more")
    chosen, split = points_of(measured)
    kind, rng = loss_kind(measured), np.random.default_rng(measured.settings.seed)
    labels = measured.labels(widths, [len(each) for each in outputs])
    counts = [None] * len(outputs) if labels is None else family_counts(labels, DRAWS, rng)
    found = [
        measure_ensembling(each[:, chosen], target[chosen], kind, rng, drawn)
        for each, drawn in zip(outputs, counts, strict=True)
    ]
    return Ensembles(
        tuple(measured.widths[w] for w in widths), int(measured.steps[step]), split, tuple(found)
    )


def _weak(
    measured: EnsembleView, ensembles: Ensembles, where: dict, ends: tuple[Ensembling, Ensembling]
) -> Test:
    narrow, wide = ends
    unit = abs(wide.single) or 1.0
    count = min(len(narrow.draws), len(wide.draws))
    draws = (narrow.draws[:count] - wide.draws[:count]) / unit
    value = (narrow.infinite - wide.infinite) / unit
    low, high = recentered_interval(draws, value, measured.alpha)
    shown = "shows" if low > 0 else "does not show"
    return Test(
        claim=CLAIM,
        where=where | {"kind": "weak"},
        estimate=value,
        interval=(low, high),
        advice_good=f"Ensembling {shown} a bias of narrower width: the loss a point of infinite ensembles is "
        f"{narrow.infinite:.3g} at N = {ensembles.widths[0]} and {wide.infinite:.3g} at "
        f"N = {ensembles.widths[-1]}.",
    )


def _strong(measured: EnsembleView, ensembles: Ensembles, where: dict) -> Test:
    narrow = ensembles.found[0]
    singles = dict(zip(ensembles.widths[1:], ensembles.found[1:], strict=True))
    better = next((width for width, each in singles.items() if each.single < narrow.infinite), None)
    width = better or ensembles.widths[-1]
    other = singles[width]
    count = min(len(narrow.draws), len(other.single_draws))
    value = (narrow.infinite - other.single) / (abs(other.single) or 1.0)
    draws = (narrow.draws[:count] - other.single_draws[:count]) / (abs(other.single) or 1.0)
    loses = "loses to" if better else "is no worse than"
    return Test(
        claim=CLAIM,
        where=where | {"kind": "strong", "against": width},
        estimate=value,
        interval=recentered_interval(draws, value, measured.alpha),
        advice_good=f"An infinite ensemble of N = {ensembles.widths[0]} networks (loss a point "
        f"{narrow.infinite:.3g}) {loses} one network of N = {width} ({other.single:.3g}).",
    )
