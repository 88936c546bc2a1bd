"""Modes of tangent kernels, eigenvalues and the task's power in them: as recorded, or of recorded kernels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from widthwise.audit.claims.classes import points_named, targets_at
from widthwise.audit.claims.function_gaps import Block, counting
from widthwise.audit.ensemble_view import EnsembleView, NothingToCompare
from widthwise.audit.reading import sound, thinned

EIGENVALUE, POWER, KERNEL = "tangent_kernel_eigenvalue", "task_power", "tangent_kernel"


@dataclass(frozen=True)
class Modes:
    """Of each width, (seed, mode), eigenvalues descending; `powers` is None where targets are not known."""

    values: Block
    powers: Block | None


def source_of(measured: EnsembleView) -> str | None:
    """The variable that modes are taken from: recorded eigenvalues, else the recorded kernel."""
    if measured.has(EIGENVALUE, "step", "mode"):
        return EIGENVALUE
    return KERNEL if has_kernels(measured) else None


def has_kernels(measured: EnsembleView) -> bool:
    """Whether tangent kernels of the points among themselves were recorded."""
    sizes = measured.records.sizes
    return measured.has(KERNEL, "step", "point", "point_b") and sizes["point"] == sizes["point_b"]


def modes_at(measured: EnsembleView, widths: Sequence[int], step: int) -> Modes:
    """Of the networks that count at a step.

    **Errors:** `NothingToCompare` if no mode, or no point of the kernels, is finite in all of them.
    """
    if source_of(measured) == KERNEL:
        kernels, targets = kernels_at(measured, widths, step)
        both = [modes_of(kernel, targets) for kernel in kernels]
        return Modes([v for v, _ in both], None if targets is None else [c for _, c in both])
    names = (EIGENVALUE, POWER) if measured.has(POWER, "step", "mode") else (EIGENVALUE,)
    found = _recorded(measured, names, widths, step)
    return Modes([each[0] for each in found], [each[1] for each in found] if len(names) > 1 else None)


def kernels_at(
    measured: EnsembleView, widths: Sequence[int], step: int
) -> tuple[list[Float[np.ndarray, "_ point point"]], Float[np.ndarray, "point output"] | None]:
    """Kernels of the networks that count, among the training points if two or more are read, else among all,
    and their targets if they are known; without points at which some kernel is not finite."""
    every = np.arange(measured.records.sizes["point"])
    points = thinned(measured.records[KERNEL], measured.settings).get("point", every)
    train = points_named(measured, points, "train")
    chosen = train if len(train) > 1 else np.arange(len(points))
    counted = counting(measured, [step])
    kernels = [measured.read(KERNEL, w, [step])[counted[w]][:, 0] for w in widths]
    kernels = [kernel[:, chosen][:, :, chosen] for kernel in kernels]
    finite = np.all([sound(kernel).all(axis=0) for kernel in kernels], axis=0)
    good = finite.diagonal()  # a point that is lost spoils a whole column: only its own row is left out
    good = good & finite[:, good].all(axis=1)
    if not good.any():
        raise NothingToCompare(f"`{KERNEL}` is finite at no point in every network")
    targets = targets_at(measured, points[chosen][good])
    return [kernel[:, good][:, :, good] for kernel in kernels], targets


def modes_of(
    kernels: Float[np.ndarray, "_ point point"], targets: Float[np.ndarray, "point output"] | None
) -> tuple[Float[np.ndarray, "_ mode"], Float[np.ndarray, "_ mode"]]:
    r"""Eigenvalues of $K / P = U \, diag(\lambda) \, U^T$, descending, and $c_k = \sum_c (u_k \cdot y_c)^2$,
    zeros without targets; of symmetric parts."""
    points = kernels.shape[-1]
    values, vectors = np.linalg.eigh((kernels + kernels.transpose(0, 2, 1)) / (2 * points))
    y = np.zeros((points, 1)) if targets is None else targets
    power = ((vectors.transpose(0, 2, 1) @ y) ** 2).sum(axis=2)
    return values[:, ::-1], power[:, ::-1]


def _recorded(
    measured: EnsembleView, names: Sequence[str], widths: Sequence[int], step: int
) -> list[Float[np.ndarray, "quantity _ mode"]]:
    """Of each width, in the modes at which all of it is finite in every network."""
    counted = counting(measured, [step])
    values = [
        np.stack([measured.read(name, width, [step])[counted[width]][:, 0] for name in names])
        for width in widths
    ]
    good = np.all([sound(each).all(axis=(0, 1)) for each in values], axis=0)
    if not good.any():
        raise NothingToCompare(f"no mode of {' and '.join(names)} is finite in every network")
    return [each[..., good] for each in values]
