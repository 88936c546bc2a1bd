"""Whether a request fits into this machine's memory, known before anything is compiled."""

import os

from widthwise.data import Points
from widthwise.data.files import usable_bytes
from widthwise.errors import InputError
from widthwise.study import Study

DOUBLE = 8


def require_memory_for_values(steps: int, shape: tuple[int, int], replicates: int) -> None:
    """Raise `InputError` unless the order parameters of all replicates fit; `shape` is (points, outputs)."""
    points, outputs = shape
    needed = DOUBLE * (replicates + 2) * steps * points * (outputs + 3 * points)
    if needed > usable_bytes():
        raise InputError(
            f"order parameters of {steps} recorded steps and {points} points in {replicates} scramblings "
            f"need {needed / 1e9:.1f} GB, and {usable_bytes() / 1e9:.1f} GB may be used: record fewer steps "
            '(`record.steps` = "log" or a list) or take fewer points'
        )


def require_memory_for_pass(study: Study, shape: tuple[int, int], evaluations: int) -> None:
    """Raise `InputError` unless the deep pass fits, whose kernels at all pairs of times grow fastest.

    `shape` is (points, outputs). As many scramblings at once as there are processors, each with the history
    and noise of its sites, Cholesky factors, and rows of four kernels and two drifts for every layer.
    """
    points, outputs = shape
    fields = evaluations * points
    kernels = fields**2 * (2 * (1 + outputs**2) + 4 * outputs)
    histories = 3 * study.theory.sites * fields * (1 + outputs)
    together = min(os.cpu_count() or 1, study.theory.scramblings)
    needed = DOUBLE * together * study.network.hidden_layers * (kernels + histories)
    if needed > usable_bytes():
        raise InputError(
            f"{study.network.hidden_layers} layers, {points} points, {outputs} outputs and {evaluations} "
            f"evaluations on {study.theory.sites} sites need {needed / 1e9:.1f} GB, and "
            f"{usable_bytes() / 1e9:.1f} GB may be used: take fewer points or steps, or lower `theory.sites`"
        )


def require_memory_for_gradient(study: Study, points: Points) -> None:
    """Raise `InputError` unless a reverse pass fits, which keeps the sites at every step."""
    count, outputs = points.targets.shape
    training, last = study.training, int(study.recorded_steps()[-1])
    stages = 4 * training.substeps if training.optimizer == "gradient_flow" else 1
    if study.network.hidden_layers == 1:
        numbers = 3 * last * stages * study.theory.sites * (count + outputs)
    else:
        past = study.theory.sites * (last + 1) * count * (1 + outputs)
        numbers = 4 * study.network.hidden_layers * (last + 1) * past
    if DOUBLE * numbers > usable_bytes():
        needed = DOUBLE * numbers / 1e9
        raise InputError(
            f"a reverse pass over {last} steps of {study.theory.sites} sites needs {needed:.1f} GB, and "
            f"{usable_bytes() / 1e9:.1f} GB may be used: lower `theory.sites` or take fewer steps"
        )
