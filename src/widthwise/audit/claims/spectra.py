"""Spectra of the tangent kernel agree between widths; what differs is the task's power in its modes."""

import numpy as np
from jaxtyping import Float

from widthwise.audit.claim import Test, Untested
from widthwise.audit.claims.gaps import Block, comparable, counting, gap_test
from widthwise.audit.measured import Measured

CLAIM = "spectra"
TIMES = 24


def tests(measured: Measured) -> list[Test] | Untested:
    r"""Gaps of the eigenvalues and, with `task_power`, of the residual curves
    $R(t) = \sum_k c_k e^{-2 \lambda_k t}$, before and after training.

    Residual curves rather than powers of single modes, which swap where eigenvalues are nearly equal. The
    swap test takes eigenvalues of one width and powers of another, and says which of them carries the gap.
    """
    name = "tangent_kernel_eigenvalue"
    if not measured.has(name, "step", "mode"):
        return Untested(claim=CLAIM, why=measured.missing(name) or f"`{name}` lacks step or mode")
    widths, steps = comparable(measured, measured.some_steps(64, name))
    found = []
    for step in dict.fromkeys((steps[0], steps[-1])):
        values = _read(measured, name, widths, step)
        where = {"quantity": "eigenvalues", "step": int(measured.steps[step])}
        products = measured.products(widths, iter([values]))
        found.append(gap_test(measured, CLAIM, products, where, what="spectra"))
        if measured.has("task_power", "step", "mode"):
            power = _read(measured, "task_power", widths, step)
            times = _times(values)
            curves = [_residual(v, c, times) for v, c in zip(values, power, strict=True)]
            where = {"quantity": "residual curve", "step": int(measured.steps[step])}
            products = measured.products(widths, iter([curves]))
            test = gap_test(measured, CLAIM, products, where, what="residual curves of the tangent kernel")
            found += [test, _swap(measured, (values, power), times, where)]
    return found


def _read(measured: Measured, name: str, widths: list[int], step: int) -> Block:
    counted = counting(measured, [step])
    values = [measured.read(name, width, [step])[counted[width]][:, 0] for width in widths]
    good = np.all([np.isfinite(v).all(axis=0) for v in values], axis=0)
    return [v[:, good] for v in values]


def _times(values: Block) -> Float[np.ndarray, " time"]:
    """From the fastest mode's time to the slowest one's."""
    mean = np.mean([v.mean(axis=0) for v in values], axis=0)
    positive = mean[mean > 1e-9 * mean.max(initial=0)]
    if not len(positive):
        return np.zeros(1)
    return np.geomspace(0.1 / positive.max(), 2 / positive.min(), TIMES)


def _residual(values: np.ndarray, power: np.ndarray, times: np.ndarray) -> Float[np.ndarray, "seed time"]:
    decay = np.exp(-2 * np.maximum(values, 0)[:, None, :] * times[:, None])
    return (power[:, None, :] * decay).sum(axis=2) / max(float(power.sum(axis=1).mean()), 1e-300)


def _swap(measured: Measured, both: tuple[Block, Block], times: np.ndarray, where: dict) -> Test:
    """Which part of the gap between the narrowest and the widest comes with the eigenvalues alone."""
    (narrow, *_, wide), (powers, *_, wide_powers) = (
        [v.mean(axis=0, keepdims=True) for v in part] for part in both
    )
    whole = _residual(narrow, powers, times) - _residual(wide, wide_powers, times)
    swapped = _residual(narrow, wide_powers, times) - _residual(wide, wide_powers, times)
    size = float((whole**2).sum())
    share = float((whole * swapped).sum()) / size if size > 0 else 0.0
    carrier = "eigenvalues" if share > 0.5 else "power of the task in slower modes"
    return Test(
        claim=CLAIM,
        where=where | {"quantity": "swap test"},
        estimate=share,
        advice_good="Of the gap between the narrowest and the widest network's residual curve, eigenvalues "
        f"carry {share:.0%}: it is the {carrier} that differs.",
    )
