"""The recorded points of a stream, taken from its samples."""

import numpy as np

from widthwise.data.stream import Batch, Probes
from widthwise.errors import InputError


def probes_of(train: Batch | None, held: Batch | None, outputs: int) -> Probes:
    """Probes: training samples, then held-out ones; either may be none.

    **Errors:** `InputError` if there are neither.
    """
    parts = [part for part in (train, held) if part is not None and len(part.inputs)]
    if not parts:
        raise InputError(
            "`data.test` = 0 and no training point is recorded: nothing could be watched; set `data.test` or "
            "`record.train_points`"
        )
    return Probes(
        np.concatenate([part.inputs for part in parts]),
        np.concatenate([part.answers for part in parts]),
        0 if train is None else len(train.inputs),
        outputs,
    )
