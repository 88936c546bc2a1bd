"""Points from a user's .npz file; nothing in it is executed, and nothing doubtful passes."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from widthwise.data.files import data_path
from widthwise.data.points import Points
from widthwise.errors import InputError
from widthwise.study import Study

REQUIRED, OPTIONAL = ("x_train", "y_train"), ("x_test", "y_test")
PROBABILITY_TOLERANCE = 1e-6


def array_points(study: Study) -> Points:
    """The points of the .npz file `data.path`, a relative path starting from the study file's folder.

    The file has `x_train` (P, D) and `y_train` (P,) or (P, C), and optionally `x_test`, `y_test` of the same
    D and C. Inputs are taken as they are; |x|^2 = D makes preactivations of order 1. For cross-entropy the
    targets are probabilities. `data.train`, `data.test` and `data.seed` have no meaning here.

    **Errors:** `InputError` naming the file, the array and the index of whatever is wrong.
    """
    path = data_path(study)
    arrays = _read(path)
    try:
        splits = [_split(arrays, split) for split in ("train", "test") if f"x_{split}" in arrays]
        if len(splits) == 2:
            _check_shapes_agree(splits)
        if study.training.loss == "cross_entropy":
            for split, (_, targets) in zip(("train", "test"), splits, strict=False):
                _check_probabilities(f"y_{split}", targets)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return Points(
        np.concatenate([inputs for inputs, _ in splits]),
        np.concatenate([targets for _, targets in splits]),
        len(splits[0][0]),
    )


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the file that we know, none of them an object array."""
    try:
        with path.open("rb") as file:
            begins = file.read(4)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if begins[:2] != b"PK":
        raise InputError(
            f"{path}: is not an .npz file; write one with numpy.savez(path, x_train=..., y_train=...)"
        )
    try:
        archive = np.load(path, allow_pickle=False)
    except Exception as error:  # a foreign file can make NumPy and zipfile raise anything
        raise InputError(f"{path}: damaged or cut short: {error}") from None
    with archive:
        present = sorted(archive.files)
        missing = [name for name in REQUIRED if name not in present]
        missing += [b for a, b in (OPTIONAL, OPTIONAL[::-1]) if a in present and b not in present]
        if missing:
            listed = ", ".join(f"`{name}`" for name in present) or "nothing"
            raise InputError(f"{path}: `{missing[0]}` is missing; the file has {listed}")
        return {name: _member(archive, path, name) for name in (*REQUIRED, *OPTIONAL) if name in present}


def _member(archive: "np.lib.npyio.NpzFile", path: Path, name: str) -> np.ndarray:
    try:
        values = archive[name]
    except Exception as error:
        if "Object arrays" in str(error):
            raise InputError(f"{path}: `{name}` holds Python objects; store numbers") from None
        raise InputError(f"{path}: `{name}` is damaged or cut short: {error}") from None
    if not isinstance(values, np.ndarray):
        raise InputError(f"{path}: `{name}` is no array; write the file with numpy.savez")
    return values


def _split(
    arrays: dict[str, np.ndarray], split: str
) -> tuple[Float[np.ndarray, "point dimension"], Float[np.ndarray, "point output"]]:
    """Inputs and targets of one split as float64, checked."""
    inputs, targets = _numbers(arrays, f"x_{split}"), _numbers(arrays, f"y_{split}")
    if inputs.ndim != 2:
        raise InputError(f"`x_{split}` has shape {inputs.shape}: give (points, dimensions); reshape it")
    if targets.ndim not in (1, 2):
        raise InputError(f"`y_{split}` has shape {targets.shape}: give (points,) or (points, outputs)")
    if len(inputs) != len(targets):
        raise InputError(
            f"`y_{split}` has {len(targets)} points but `x_{split}` has {len(inputs)}: give as many"
        )
    targets = targets[:, None] if targets.ndim == 1 else targets
    if split == "train" and len(inputs) == 0:
        raise InputError("`x_train` has no points: at least one is needed")
    if 0 in (inputs.shape[1], targets.shape[1]):
        raise InputError(
            f"`{split}` has {inputs.shape[1]} dimensions and {targets.shape[1]} outputs: give 1 or more"
        )
    return inputs, targets


def _numbers(arrays: dict[str, np.ndarray], name: str) -> Float[np.ndarray, "..."]:
    """One array as finite float64."""
    if arrays[name].dtype.kind not in "buif":
        raise InputError(f"`{name}` is of type {arrays[name].dtype}: give real numbers")
    with np.errstate(over="ignore"):
        values = np.asarray(arrays[name], dtype=np.float64)
    if not np.isfinite(values).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(values))[0])
        raise InputError(f"`{name}` is {values[where]} at index {where}: remove or mend it")
    return values


def _check_shapes_agree(splits: list[tuple[np.ndarray, np.ndarray]]) -> None:
    (x_train, y_train), (x_test, y_test) = splits
    if x_train.shape[1] != x_test.shape[1]:
        raise InputError(f"`x_test` has {x_test.shape[1]} dimensions but `x_train` has {x_train.shape[1]}")
    if y_train.shape[1] != y_test.shape[1]:
        raise InputError(f"`y_test` has {y_test.shape[1]} outputs but `y_train` has {y_train.shape[1]}")


def _check_probabilities(name: str, targets: Float[np.ndarray, "point output"]) -> None:
    advice = 'for training.loss = "cross_entropy" give a probability for each class, such as one-hot rows'
    if targets.shape[1] < 2:
        raise InputError(f"`{name}` has one output: {advice}")
    wrong = (targets < 0).any(axis=1) | (np.abs(targets.sum(axis=1) - 1.0) > PROBABILITY_TOLERANCE)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"`{name}` is negative or sums to {targets[row].sum():g}, not to 1, at index {row}: {advice}"
        )
