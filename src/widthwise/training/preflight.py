"""What is known of networks of one width before anything is compiled: whether they fit, and long hours."""

import jax

from widthwise.data import Stream
from widthwise.records import Layout
from widthwise.training.measures.tangent import backward_passes
from widthwise.training.memory_limits import OF_TANGENT_KERNEL, Sizes, require_memory, state_shapes
from widthwise.training.trainer import Trainer, numerics, probe_batch

# About what a processor does with gradients of single points, one after another: floating-point operations
# a second, and seconds for each weight, to write its derivative and multiply it with others.
OPERATIONS, WEIGHT_SECONDS = 20e9, 5e-9
LONG_MINUTES = 2.0


def preflight(trainer: Trainer, stream: Stream, layout: Layout) -> str:
    """Refuse a width that does not fit into memory, and say if its tangent kernels take minutes.

    They take a gradient for every point and output, of which a transformer has one a word.

    **Errors:** `InputError` as in `require_memory`.
    """
    study = trainer.study
    with numerics(study.ensemble.precision):
        points = probe_batch(stream.probes, study.ensemble.precision)
        sizes = require_memory(trainer, layout, points)
        if not sizes.block or not set(OF_TANGENT_KERNEL) & set(study.record.quantities):
            return ""
        forward = jax.jit(lambda weights, inputs: weights.trace(inputs).output)
        forward = forward.lower(state_shapes(trainer).weights, points.inputs[:1])
    operations = 3 * float((forward.cost_analysis() or {}).get("flops", 0.0))
    if (study.network.kind, study.network.normalization) == ("resnet", "batch"):
        operations *= sizes.points  # each gradient goes through all of them
    return _remark(trainer, sizes, operations)


def _remark(trainer: Trainer, sizes: Sizes, operations: float) -> str:
    """On tangent kernels each of whose gradients takes so many operations."""
    gradients = backward_passes(sizes.points, sizes.outputs, sizes.block)
    minutes = gradients * (operations / OPERATIONS + sizes.parameters * WEIGHT_SECONDS) / 60
    steps = len(trainer.study.recorded_steps())
    if minutes * steps < LONG_MINUTES:
        return ""
    words = "`data.vocabulary`, " if trainer.study.network.kind == "transformer" else ""
    return (
        f"width {trainer.width}: each tangent kernel takes {gradients:,} gradients ({sizes.points} points, "
        f"{sizes.outputs:,} outputs), about {_spoken(minutes)} on one processor, and "
        f"{_spoken(steps * minutes)} at the {steps} recorded steps of a network. To wait less, lower "
        f"`record.train_points`, `data.test` or {words}record fewer steps, or leave it out of "
        "`record.quantities`"
    )


def _spoken(minutes: float) -> str:
    """
    >>> [_spoken(minutes) for minutes in (0.4, 12.0, 600.0)]
    ['24 s', '12 min', '10 h']
    """
    if minutes < 2:
        return f"{60 * minutes:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.0f} h"
