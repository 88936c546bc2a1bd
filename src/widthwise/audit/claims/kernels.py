"""Kernels of wide networks agree, and so does how they change."""

from collections.abc import Iterator

import numpy as np

from widthwise.audit.claim import Test, Untested
from widthwise.audit.claims.gaps import Block, comparable, counting, gap_test
from widthwise.audit.claims.scales import layer_names
from widthwise.audit.measured import Measured

FEATURE, CHANGE = "feature_kernel", "kernel_change"


def tests(measured: Measured) -> list[Test] | Untested:
    """Gaps between widths of Phi^l, for each layer, and of the tangent kernel where it was recorded."""
    found = [
        gap_test(measured, FEATURE, products, where, what=f"mean kernels of {name}")
        for name, where, products in _all(measured, changes=False)
    ]
    return found or Untested(claim=FEATURE, why=_why(measured))


def change_tests(measured: Measured) -> list[Test] | Untested:
    """The same of K_t - K_0, relative to its size: a network whose features stand still cannot pass by it."""
    if len(measured.steps) < 2:
        return Untested(claim=CHANGE, why="one step was recorded: record more of them")
    found = [
        gap_test(measured, CHANGE, products, where, what=f"mean changes of the kernel of {name}")
        for name, where, products in _all(measured, changes=True)
    ]
    return found or Untested(claim=CHANGE, why=_why(measured))


def _why(measured: Measured) -> str:
    return measured.missing(FEATURE) or "`feature_kernel` is not by (layer, step, point, point_b)"


def _all(measured: Measured, *, changes: bool):
    candidates = measured.some_steps(measured.settings.most_steps)
    widths, steps = comparable(measured, candidates)
    steps = [s for s in steps if s > 0] if changes else steps
    if not steps or (changes and not counting(measured, [0, *steps])[widths].any(axis=1).all()):
        return
    if measured.has("feature_kernel", "layer", "step", "point", "point_b"):
        for layer, name in enumerate(layer_names(measured)):
            where = {"layer": name, "until_step": int(measured.steps[steps[-1]])}
            blocks = _blocks(measured, (widths, steps), layer, changes=changes)
            yield f"layer `{name}`", where, measured.products(widths, blocks)
    if measured.has("tangent_kernel", "step", "point", "point_b"):
        where = {"kernel": "tangent", "until_step": int(measured.steps[steps[-1]])}
        blocks = _blocks(measured, (widths, steps), None, changes=changes)
        yield "the network (tangent kernel)", where, measured.products(widths, blocks)


def _blocks(
    measured: Measured, grid: tuple[list[int], list[int]], layer: int | None, *, changes: bool
) -> Iterator[Block]:
    """Upper triangles, one layer at a time; minus those at initialization if `changes`."""
    widths, steps = grid
    name = "tangent_kernel" if layer is None else "feature_kernel"
    counted = counting(measured, [0, *steps] if changes else steps)
    first = [measured.read(name, width, [0], layer)[counted[width]] for width in widths] if changes else []
    for step in steps:
        block = []
        for index, width in enumerate(widths):
            values = measured.read(name, width, [step], layer)[counted[width]]
            if changes:
                values = values - first[index]
            upper = np.triu_indices(values.shape[-1])
            block.append(values[..., upper[0], upper[1]])
        yield block
