"""Spectra of the tangent kernel agree between widths; what differs is the task's power in its modes."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from widthwise.analysis.swap import residual_curves, residual_times, swap_test
from widthwise.audit.claim import Test, Untested
from widthwise.audit.claims.gaps import Block, comparable, counting, gap_test
from widthwise.audit.measured import Measured, NothingToCompare
from widthwise.audit.reading import sound

CLAIM = "spectra"


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
        values = [each[0] for each in _read(measured, (name,), widths, step)]
        where = {"quantity": "eigenvalues", "step": int(measured.steps[step])}
        products = measured.products(widths, iter([values]))
        found.append(gap_test(measured, CLAIM, products, where, what="spectra"))
        if measured.has("task_power", "step", "mode"):
            both = _read(measured, (name, "task_power"), widths, step)
            values, power = ([pair[index] for pair in both] for index in range(2))
            times = residual_times(values)
            curves = [residual_curves(v, c, times) for v, c in zip(values, power, strict=True)]
            where = {"quantity": "residual curve", "step": int(measured.steps[step])}
            products = measured.products(widths, iter([curves]))
            test = gap_test(measured, CLAIM, products, where, what="residual curves of the tangent kernel")
            found += [test, _swap(measured, (values, power), where)]
    return found


def _read(
    measured: Measured, names: Sequence[str], widths: list[int], step: int
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


def _swap(measured: Measured, both: tuple[Block, Block], where: dict) -> Test:
    """Which part of the gap between the narrowest and the widest comes with the eigenvalues alone."""
    values, powers = both
    rng = np.random.default_rng(measured.settings.seed)
    swap = swap_test((values[0], powers[0]), (values[-1], powers[-1]), measured.alpha, rng)
    what = "eigenvalues that differ" if swap.share > 0.5 else "power of the task in slower modes that differs"
    return Test(
        claim=CLAIM,
        where=where | {"quantity": "swap test"},
        estimate=swap.share,
        interval=swap.interval,
        advice_good="Of the gap between the narrowest and the widest network's residual curve, "
        f"{swap.largest:.2g} of the task where it is largest, eigenvalues carry {swap.share:.0%}: it is the "
        f"{what}.",
    )
