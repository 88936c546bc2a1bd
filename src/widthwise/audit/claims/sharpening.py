"""At which steps large learning rates show, at each width: sharpening, the edge of stability, spikes."""

import numpy as np
from jaxtyping import Float

from widthwise.analysis.stability import (
    catapult_ratio,
    first_crossing,
    share_at_the_edge,
    sharpening_slope,
    spikes,
    spikes_apart,
    stability_threshold,
)
from widthwise.analysis.verdict import Test
from widthwise.audit.claims.described import mean_rows, pair_rows
from widthwise.audit.claims.function_gaps import alive_curves, comparable
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.study import TrainingSettings

CLAIM = "large_rate"
MOST_STEPS = 2048


def descriptions(measured: EnsembleView) -> list[Test]:
    """For each width beside the widest: the slope at which the sharpness rises before it first crosses the
    threshold of stability, the first crossing, the share of recorded steps at the threshold; how far the
    largest loss is above the initial one, and which spikes two networks share."""
    return [*_of_sharpness(measured), *_of_losses(measured)]


def _of_sharpness(measured: EnsembleView) -> list[Test]:
    if not measured.has("sharpness", "step"):
        return []
    widths, steps = comparable(measured, measured.some_steps(MOST_STEPS, "sharpness"))
    if len(widths) < 2:
        return []
    curves, labels = _read(measured, "sharpness", widths, steps), measured.steps[steps]
    training = TrainingSettings() if measured.study is None else measured.study.training
    limit = stability_threshold(training.optimizer, training.momentum)
    shares, span = [share_at_the_edge(c, limit) for c in curves], {"until_step": int(labels[-1])}
    described = [
        (
            [sharpening_slope(labels, c, limit) for c in curves],
            {"quantity": "progressive sharpening", **span, "unit": "sharpness per step"},
            f"Before it first crosses {limit:.3g} the sharpness changes by {{}} and by {{}} per step.",
        ),
        (
            [first_crossing(labels, c, limit) for c in curves],
            {"quantity": "first crossing", "unit": "step"},
            f"Where the sharpness crosses {limit:.3g}, it first does at step {{}} and {{}}.",
        ),
        (
            shares,
            {"quantity": "at the edge of stability", **span, "unit": "share of steps"},
            f"The sharpness is within a tenth of {limit:.3g} at a share of recorded steps of {{}} and {{}}.",
        ),
    ]
    if not any(each.any() for each in shares):
        del described[-1]
    return [
        row
        for values, where, words in described
        for row in mean_rows(measured, CLAIM, widths, values, where, words=words.format)
    ]


def _of_losses(measured: EnsembleView) -> list[Test]:
    name = measured.first_of("batch_loss", "loss")
    if name is None:
        return []
    widths, steps = comparable(measured, measured.some_steps(MOST_STEPS, name))
    if len(widths) < 2 or len(steps) < 3:
        return []
    curves, until = _read(measured, name, widths, steps), int(measured.steps[steps[-1]])
    ratios = [catapult_ratio(c) for c in curves]
    sets, found = [spikes(c) for c in curves], []
    if any((each > 1).any() for each in ratios):
        found += mean_rows(
            measured,
            CLAIM,
            widths,
            ratios,
            {"quantity": "catapult ratio", "until_step": until, "unit": "largest loss over the initial one"},
            words=lambda own, wide: f"The largest `{name}` is {own} and {wide} times the initial one.",
        )
    if not any(each.any() for each in sets):
        return found
    where = {"quantity": "spikes of one alone", "until_step": until, "unit": "share of spikes"}
    found += pair_rows(
        measured,
        CLAIM,
        widths,
        sets,
        where,
        distance=spikes_apart,
        words=lambda x, n, m: (
            f"Of the spikes of `{name}` of two networks, N = {n} and {m}, a share of {x:.2g} "
            "is in one of them alone"
        ),
    )
    return found


def _read(
    measured: EnsembleView, name: str, widths: list[int], steps: list[int]
) -> list[Float[np.ndarray, "_ step"]]:
    """Curves of the networks that count at all steps, of the last split, where they are finite."""
    curves = [each[..., -1] for each in alive_curves(measured, name, steps, widths)]
    return [curve[np.isfinite(curve).all(axis=1)] for curve in curves]
