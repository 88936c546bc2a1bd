"""What the training of a study consists of, wherever it is run: its layout, and a trainer for each width."""

from collections.abc import Callable
from dataclasses import dataclass

import jax

from widthwise.data import Points, open_stream
from widthwise.data.fixed import fixed_stream
from widthwise.errors import InputError
from widthwise.progress import Progress
from widthwise.records import Layout
from widthwise.records.folder import Folder
from widthwise.records.parameters import parameters_folder, write_parameters
from widthwise.study import Study
from widthwise.study.combinations import POINT_KINDS
from widthwise.training.checkpoint import Checkpoint
from widthwise.training.chunks import units_of
from widthwise.training.labels import record_labels
from widthwise.training.measures.traces import tensor_names
from widthwise.training.preflight import preflight
from widthwise.training.program import Compiler, compile_program
from widthwise.training.run import Trajectory, run_networks
from widthwise.training.trainer import Trainer, Tree

# Trains networks of one width: a pure function of their seeds, whatever the checkpoint holds; progress is
# advanced by networks times `units_of` the study.
BlockTrainer = Callable[[range, Checkpoint | None, Progress], Trajectory]


@dataclass(frozen=True)
class Plan:
    """**Fields:** `trainer_of(width)` compiles; `preflight(width)` refuses what does not fit into memory,
    before anything is compiled, and says what takes surprisingly long; `points`, if not the study's own."""

    layout: Layout
    trainer_of: Callable[[int], BlockTrainer]
    preflight: Callable[[int], str]
    points: Points | None = None

    @property
    def units(self) -> int:
        """Of progress in a network."""
        return units_of(self.layout.study)


def plan_training(
    study: Study,
    points: Points | None = None,
    store: Folder | None = None,
    processors: int | None = None,
    *,
    compiler: Compiler | None = None,
) -> Plan:
    """How to train the study along its stream of batches.

    **Arguments:** `points`, those of the study if not given; `store`, beside which weights are kept;
    `processors` to use at most; `compiler`, see `compile_program`.
    **Errors:** `InputError` if the data cannot be had, or weights are to be kept of a run in memory.
    """
    if points is not None and (study.data.kind not in POINT_KINDS or study.data.order != "offline"):
        raise InputError(
            f'`points` are a fixed set, and data.kind = "{study.data.kind}", data.order = '
            f'"{study.data.order}" is none: leave them out, or give the points as data.kind = "arrays"'
        )
    if study.record.parameters != "none" and store is None:
        raise InputError(
            f'`record.parameters` = "{study.record.parameters}": weights are kept in files: give `out`'
        )
    stream = open_stream(study) if points is None else fixed_stream(study, points)
    layout = Layout(study, stream, record_labels(study, stream))

    def before(width: int) -> str:
        return preflight(Trainer(study, stream.probes, width), stream, layout)

    def trainer_of(width: int) -> BlockTrainer:
        before(width)  # which this machine's memory may refuse where another's did not
        program = compile_program(study, stream, width, processors, compiler=compiler)

        def keep(seed: int, step: int, weights: Tree) -> None:
            assert store is not None
            arrays = dict(zip(tensor_names(weights), jax.tree.leaves(weights), strict=True))
            write_parameters(parameters_folder(store), width, seed, step, arrays)

        def train(seeds: range, checkpoint: Checkpoint | None, progress: Progress) -> Trajectory:
            return run_networks(program, seeds, checkpoint, keep, progress)

        return train

    return Plan(layout, trainer_of, before, points)
