"""A factor that all updates have in common: one cause, in what training does to all tensors."""

import math
from collections.abc import Collection, Sequence

import numpy as np

from widthwise.analysis.verdict import OWN, Test
from widthwise.audit.claims.scale_series import Scale, windows
from widthwise.audit.claims.width_exponent import exponent_test, fit_positive
from widthwise.audit.ensemble_view import EnsembleView

CLAIM = "scales"
LEAST = 0.1  # by which every tensor's exponent must be off, to the same side
SPREAD = 0.3  # within which of their median the exponents must lie
FEWEST = 3
TOLERANCE = 0.75  # of that of a tensor: the mean of many is known better, and bends less

# Rules, and what to look at.
CLIPPED = (
    "clip by global norm",
    "gradients are clipped by their global norm, which grows with the width, so wide networks are clipped "
    "more: clip by a norm that does not depend on the width, as of each tensor's entries",
)
UNKNOWN = (
    "schedule, clipping or eps",
    "look for what acts on all tensors alike: the learning rate's schedule, clipping, eps, the loss",
)


def common_factor(measured: EnsembleView, updates: Sequence[Scale], apart: Collection[str]) -> Test | None:
    """A test of the geometric mean over all tensors of what updates do, each over its law, if all are off
    together.

    None where they are not: where any tensor's exponent is as it should be, or far from the others'. Left
    aside are the tensors named `apart`, which may lie lower for reasons of their own.
    """
    judged = [scale for scale in updates if scale.name not in apart]
    if len(judged) < FEWEST:
        return None
    off = np.array([scale.fitted.exponent.overall.value - scale.high for scale in judged])
    median = float(np.median(off))
    together = (np.sign(off) == np.sign(median)) & (np.abs(off) > LEAST) & (np.abs(off - median) < SPREAD)
    if not together.all():
        return None
    values = []
    for index, width in enumerate(measured.widths):
        with np.errstate(all="ignore"):
            logs = [np.log(scale.values[index]) - scale.high * np.log(width) for scale in judged]
        values.append(np.exp(np.mean(logs, axis=0)))
    step = judged[0].step
    rule, fix = CLIPPED if _clips(measured) else UNKNOWN
    return exponent_test(
        measured,
        CLAIM,
        fit_positive(measured, values),
        {"tensor": "all", "quantity": judged[0].quantity, "until_step": step, "rule": rule},
        what=f"The effect of updates of all tensors together until step {step}",
        fix=fix,
        tolerance=TOLERANCE * measured.settings.exponent_tolerance,
        depth=OWN,
    )


def _clips(measured: EnsembleView) -> bool:
    """Whether gradients are clipped by another factor at another width."""
    if not measured.has("clip_factor", "step"):
        return False
    early = windows(measured)[0]
    with np.errstate(all="ignore"):
        factors = [np.nanmean(v[:, early], axis=1) for v in measured.numbers("clip_factor")]
    fitted = fit_positive(measured, factors)
    found = None if fitted is None else fitted.exponent.overall
    return found is not None and not math.isinf(found.error) and abs(found.value) > LEAST
