"""Weights kept beside the records, so that what was not measured in training can be measured later."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from widthwise.errors import InputError
from widthwise.records.array_file import DamagedFile, pack_arrays, unpack_arrays
from widthwise.records.folder import Folder, open_folder
from widthwise.records.storage_errors import disk_errors

SUFFIX = ".parameters"


def parameters_folder(store: str | Path | Folder) -> Folder:
    """Where the weights of the networks of a store are: next to it, `records.zarr.parameters`."""
    return open_folder(store).beside("", SUFFIX)


def write_parameters(
    directory: str | Path | Folder, width: int, seed: int, step: int, arrays: Mapping[str, np.ndarray]
) -> None:
    """Keep the weights of one network at one step, a file of their own, whole or not at all.

    **Arguments:** `directory`, see `parameters_folder`; `arrays`, weight tensors by name.
    **Errors:** `InputError` if the disk is full or may not be written; `ValueError` for arrays of objects.
    """
    folder = open_folder(directory)
    content = pack_arrays(arrays, _identity(width, seed, step))
    with disk_errors(folder.name, "the cells before this one are safe"):
        folder.write(_file(width, seed, step), content)


def read_parameters(
    directory: str | Path | Folder, width: int, seed: int, step: int | None = None
) -> dict[str, np.ndarray]:
    """The weights of one network.

    **Arguments:** `directory`, the folder of weights or the store that it stands beside; `step`, one of those
    that were kept, the last of them if not given.
    **Returns:** weight tensors by name, in the precision of training.
    **Errors:** `InputError` if they were not kept, naming what is there, or if the file is damaged.
    """
    for name, number in (("width", width), ("seed", seed), ("step", 0 if step is None else step)):
        if not isinstance(number, int | np.integer):
            raise InputError(f"`{name}` = {number!r}: give a whole number")
    folder = open_folder(directory)
    if not folder.name.endswith(SUFFIX):
        folder = parameters_folder(folder)
    steps = kept_steps(folder, width, seed)
    if not steps:
        raise InputError(
            f"{folder.name} has no weights of width {width}, seed {seed}: they are kept with "
            "`record.parameters`, of the study's widths and seeds"
        )
    step = steps[-1] if step is None else step
    if step not in steps:
        raise InputError(
            f"{folder.name} has no weights of width {width}, seed {seed} at step {step}: steps are {steps}"
        )
    file = _file(width, seed, step)
    content = folder.read(file)
    try:
        arrays, identity = unpack_arrays(content or b"")
    except DamagedFile as error:
        raise InputError(
            f"{folder.name}/{file} is damaged: {error}; delete it and train again with the same study, "
            "which writes it anew"
        ) from error
    if identity != _identity(width, seed, step):
        raise InputError(f"{folder.name}/{file} is not what its name says ({identity}): restore it")
    return arrays


def kept_steps(directory: str | Path | Folder, width: int, seed: int) -> list[int]:
    """Steps at which the weights of a network were kept, ascending."""
    folder, prefix = open_folder(directory), _file(width, seed, 0).rpartition("/")[0]
    return sorted(
        int(name.removeprefix("step_").removesuffix(".npz"))
        for name in folder.below(prefix).files()
        if name.startswith("step_") and name.endswith(".npz")
    )


def _file(width: int, seed: int, step: int) -> str:
    return f"width_{width:05d}/seed_{seed:05d}/step_{step:08d}.npz"


def _identity(width: int, seed: int, step: int) -> str:
    return f"width {width} seed {seed} step {step}"
