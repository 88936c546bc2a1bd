"""What a network is trained on, step by step, and the points at which it is recorded."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Num

from widthwise.data.targets import one_hot
from widthwise.errors import InputError


class Batch(NamedTuple):
    """Samples of one step, as arrays of NumPy or of JAX. Inputs: numbers (sample, D), images (sample, row,
    column, channel), tokens (sample, position). Answers: targets (sample, output), or the next token at every
    position."""

    inputs: Num[Any, "sample *shape"]
    answers: Float[Any, "sample output"] | Int[Any, "sample position"]


@dataclass(frozen=True)
class Probes:
    """The recorded points, the same at all widths and steps: `train` training points, then held-out ones."""

    inputs: Num[np.ndarray, "point *shape"]
    answers: Float[np.ndarray, "point output"] | Int[np.ndarray, "point position"]
    train: int
    outputs: int

    @property
    def targets(self) -> Float[np.ndarray, "point output"]:
        """y; for tokens, one-hot of the token after the last position."""
        if self.answers.dtype.kind == "f":
            return np.asarray(self.answers, np.float64)
        return one_hot(self.answers[:, -1], self.outputs)

    @property
    def splits(self) -> list[str]:
        """ "train" or "test" for each point."""
        return ["train"] * self.train + ["test"] * (len(self.inputs) - self.train)

    def digest(self) -> str:
        """Content hash (hex, 64 digits) of the arrays."""
        digest = hashlib.sha256(f"{self.inputs.shape} {self.answers.shape} {self.train}".encode())
        for values in (self.inputs, self.answers):
            digest.update(str(values.dtype).encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Stream:
    """Data in the order of training, a pure function of the study: the same for all widths and seeds.

    **Fields:** `probes`; `batches(start)`, an iterator over the batches of steps `start`, `start` + 1, ...,
    the same batch for the same step wherever it starts; `source`, a content hash (hex) of all that the
    batches depend on and the study does not say (such as the contents of files).
    """

    probes: Probes
    batches: Callable[[int], Iterator[Batch]]
    source: str

    @property
    def targets(self) -> Float[np.ndarray, "point output"]:
        """y at the recorded points."""
        return self.probes.targets

    @property
    def splits(self) -> list[str]:
        """ "train" or "test" for each recorded point."""
        return self.probes.splits

    def digest(self) -> str:
        """Content hash (hex, 64 digits) of all that training depends on and the study does not say."""
        return hashlib.sha256((self.probes.digest() + self.source).encode()).hexdigest()

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of one input: (D,), (row, column, channel), or (position,)."""
        return self.probes.inputs.shape[1:]

    @property
    def outputs(self) -> int:
        """C, classes, or different tokens."""
        return self.probes.outputs


def probes_of(train: Batch | None, held: Batch | None, outputs: int) -> Probes:
    """Probes: training samples, then held-out ones; either may be none.

    **Errors:** `InputError` if there are neither.
    """
    parts = [part for part in (train, held) if part is not None and len(part.inputs)]
    if not parts:
        raise InputError(
            "`data.test` = 0 and `record.train_points` = 0: nothing would be recorded; set either of them"
        )
    return Probes(
        np.concatenate([part.inputs for part in parts]),
        np.concatenate([part.answers for part in parts]),
        0 if train is None else len(train.inputs),
        outputs,
    )
