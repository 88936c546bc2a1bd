"""How a training is cut into calls of compiled programs: a function of the study alone."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from widthwise.data import Batch
from widthwise.study import Study
from widthwise.study.combinations import FULL_BATCH

# Batches, and records of one network, that are held at once.
BATCH_BYTES, RECORD_BYTES = 64 * 2**20, 32 * 2**20
# The most steps between two looks at the clock; of perceptrons in full batches as many as a few seconds have.
STEPS, FULL_BATCH_STEPS, FULL_BATCH_OPERATIONS = 64, 1024, 10**11


class Chunk(NamedTuple):
    """`length` steps of training from `step` on; records are taken before the steps `step` + each of
    `recorded`, of which the first, if any, is 0."""

    step: int
    length: int
    recorded: tuple[int, ...]


@dataclass(frozen=True)
class Cut:
    """**Fields:** `steps` and `records` of a chunk at most; `gaps`, whether a call that records may train on
    beyond a step; `apart`, recorded steps that begin a chunk, since weights are kept there."""

    steps: int
    records: int
    gaps: bool
    apart: frozenset[int]

    def rows(self, full_batch: bool) -> tuple[int, int]:
        """Batches that a call which records, and one which only trains, is given."""
        return (1, 1) if full_batch else (self.steps if self.gaps else 1, self.steps)


def units_of(study: Study) -> int:
    """Units of progress in a network: its steps, or 1 for a perceptron in full batches: seconds."""
    short = study.network.kind == "mlp" and study.training.optimizer in FULL_BATCH
    return 1 if short else max(int(study.recorded_steps()[-1]), 1)


def cut_of(study: Study, batch: Batch, weights: int, record_bytes: int) -> Cut:
    """How the training of networks with so many weights is cut.

    A call that trains between records holds its step twice over, which costs compilation: of perceptrons,
    whose steps are short, it saves more.
    **Arguments:** `batch`, the first; `record_bytes`, of one network at one step.
    """
    steps, gaps = study.recorded_steps(), study.network.kind == "mlp"
    longest = STEPS
    if study.training.optimizer not in FULL_BATCH:
        longest = min(STEPS, BATCH_BYTES // max(1, sum(np.asarray(x).nbytes for x in batch)))
    elif gaps:
        operations = 6 * weights * len(batch.inputs)
        longest = max(STEPS, min(FULL_BATCH_STEPS, FULL_BATCH_OPERATIONS // operations))
    if not gaps:
        longest = min(longest, int(np.diff(steps, prepend=0).max(initial=1)))
    most = min(len(steps), longest, RECORD_BYTES // max(1, record_bytes)) if gaps else 1
    kept = {"none": [], "final": steps[-1:], "recorded": steps}[study.record.parameters]
    return Cut(max(1, longest), max(1, most), gaps, frozenset(int(step) for step in kept))


def plan_chunks(steps: Int[np.ndarray, "step"], cut: Cut) -> list[Chunk]:
    """All of a training up to its last recorded step, in order.

    >>> cut = Cut(steps=3, records=2, gaps=True, apart=frozenset())
    >>> [tuple(chunk) for chunk in plan_chunks(np.array([0, 1, 5]), cut)]
    [(0, 3, (0, 1)), (3, 2, ()), (5, 0, (0,))]
    """
    chunks, at, edges = [], 0, [int(step) for step in steps]
    while edges:
        if edges[0] > at:
            chunks.append(Chunk(at, min(cut.steps, edges[0] - at), ()))
        else:
            taken = [edges.pop(0)]
            while edges and len(taken) < cut.records and edges[0] - at < cut.steps:
                if edges[0] in cut.apart:
                    break
                taken.append(edges.pop(0))
            beyond = min(edges[0], at + cut.steps) if edges else taken[-1]
            end = beyond if cut.gaps else min(beyond, at + 1)
            chunks.append(Chunk(at, end - at, tuple(step - at for step in taken)))
        at += chunks[-1].length
    return chunks
