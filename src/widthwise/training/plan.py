"""What the training of a study consists of, wherever it is run: its layout, and a trainer for each width."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import numpy as np

from widthwise.data import Points, Stream, load_points, open_stream
from widthwise.errors import InputError
from widthwise.progress import Progress
from widthwise.records import Layout
from widthwise.records.folder import Folder
from widthwise.records.parameters import parameters_folder, write_parameters
from widthwise.study import Study
from widthwise.study.combinations import is_full_batch_perceptron
from widthwise.training.checkpoint import Checkpoint
from widthwise.training.network import Trajectory
from widthwise.training.program import compile_program, require_memory


@runtime_checkable
class BlockTrainer(Protocol):
    """Trains networks of one width: a pure function of their seeds, whatever `checkpoint` holds."""

    def __call__(self, seeds: range, checkpoint: Checkpoint | None, progress: Progress) -> Trajectory:
        """Train the networks of these seeds; `progress` is advanced by networks times `Plan.units`."""
        ...


@dataclass(frozen=True)
class Plan:
    """**Fields:** `trainer_of(width)` compiles; `units` of progress in a network; `foresee(width)` refuses
    what does not fit into memory, before anything is compiled, and says what takes surprisingly long."""

    layout: Layout
    trainer_of: Callable[[int], BlockTrainer]
    units: int
    foresee: Callable[[int], str] = lambda width: ""


@dataclass(frozen=True)
class Watched:
    """The recorded points of a stream, as the layout of records wants them."""

    stream: Stream

    @property
    def targets(self) -> np.ndarray:
        """y."""
        return self.stream.probes.targets

    @property
    def splits(self) -> list[str]:
        """ "train" or "test" for each point."""
        return self.stream.probes.splits

    def digest(self) -> str:
        """Content hash of all that training depends on and the study does not say."""
        both = self.stream.probes.digest() + self.stream.digest
        return hashlib.sha256(both.encode()).hexdigest()


def plan_training(
    study: Study,
    points: Points | None = None,
    store: Folder | None = None,
    processors: int | None = None,
) -> Plan:
    """How to train the study: exactly, where all points are in every step; else along the stream it names.

    **Arguments:** `points`, those of the study if not given; `store`, beside which weights are kept;
    `processors` to use at most.
    **Errors:** `InputError` if the data cannot be had, or weights are to be kept of a run in memory.
    """
    if is_full_batch_perceptron(study):
        return _on_points(study, load_points(study) if points is None else points, processors)
    if points is not None:
        raise InputError(
            "`points` are for full-batch training of mean-field perceptrons: save them as an .npz and give "
            'it as data.path with data.kind = "arrays"'
        )
    if study.record.parameters != "none" and store is None:
        raise InputError(
            f'`record.parameters` = "{study.record.parameters}": weights are kept in files: give `out`'
        )
    return _on_stream(study, open_stream(study), store, processors)


def _on_points(study: Study, points: Points, processors: int | None) -> Plan:
    def trainer_of(width: int) -> BlockTrainer:
        program = compile_program(study, points, width, processors)

        def train(seeds: range, checkpoint: Checkpoint | None, progress: Progress) -> Trajectory:
            trajectory = program.run(seeds)
            progress.advance(len(seeds))
            return trajectory

        return train

    def foresee(width: int) -> str:
        require_memory(study, points, width)
        return ""

    return Plan(Layout(study, points), trainer_of, 1, foresee)


def _on_stream(study: Study, stream: Stream, store: Folder | None, processors: int | None) -> Plan:
    from widthwise.training.labels import record_labels
    from widthwise.training.measures import tensor_names
    from widthwise.training.preflight import foresee_stream
    from widthwise.training.stream_network import Trainer, Tree
    from widthwise.training.stream_program import compile_stream_program
    from widthwise.training.stream_run import run_stream

    last = int(study.recorded_steps()[-1])
    kept = {"none": range(0), "final": range(last, last + 1), "recorded": range(last + 1)}[
        study.record.parameters
    ]

    def trainer_of(width: int) -> BlockTrainer:
        program = compile_stream_program(study, stream, width, processors)

        def keep(seed: int, step: int, weights: Tree) -> None:
            if step in kept and store is not None:
                names, leaves = tensor_names(weights), jax.tree.leaves(weights)
                arrays = {name: np.asarray(leaf) for name, leaf in zip(names, leaves, strict=True)}
                write_parameters(parameters_folder(store), width, seed, step, arrays)

        def train(seeds: range, checkpoint: Checkpoint | None, progress: Progress) -> Trajectory:
            return run_stream(program, seeds, checkpoint, keep, progress)

        return train

    def foresee(width: int) -> str:
        return foresee_stream(Trainer(study, stream.shape, stream.outputs, width), stream)

    layout = Layout(study, Watched(stream), record_labels(study, stream))
    return Plan(layout, trainer_of, max(last, 1), foresee)
