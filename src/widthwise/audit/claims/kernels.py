"""Kernels of wide networks agree, and so does how they change."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from widthwise.analysis.verdict import Test, Untested
from widthwise.audit.claims.function_gaps import Block, comparable, counting, gap_test
from widthwise.audit.ensemble_view import EnsembleView, NothingToCompare
from widthwise.audit.reading import SLAB_BYTES

FEATURE, CHANGE, TANGENT = "feature_kernel", "kernel_change", "tangent_kernel"


def tests(measured: EnsembleView) -> list[Test] | Untested:
    """Gaps between widths of Phi^l, for each layer, and of the tangent kernel where it was recorded."""
    return _tests(measured, FEATURE, "mean kernels of")


def change_tests(measured: EnsembleView) -> list[Test] | Untested:
    """The same of K_t - K_0, relative to its size: a network whose features stand still cannot pass by it."""
    if len(measured.steps) < 2:
        return Untested(claim=CHANGE, why="one step was recorded: record more of them")
    return _tests(measured, CHANGE, "mean changes of the kernel of")


def _tests(measured: EnsembleView, claim: str, what: str) -> list[Test] | Untested:
    found, whys = [], []
    for name, own in ((FEATURE, ("layer", "step")), (TANGENT, ("step",))):
        if not measured.has(name, *own, "point", "point_b"):
            whys.append(measured.missing(name) or f"`{name}` is not by ({', '.join(own)}, point, point_b)")
            continue
        if measured.records.sizes["point"] != measured.records.sizes["point_b"]:
            whys.append(f"`{name}` is no square of points")
            continue
        try:
            found += _tests_of(measured, name, claim, what)
        except NothingToCompare as reason:
            whys.append(str(reason))
    return found or Untested(claim=claim, why=whys[0])


def _tests_of(measured: EnsembleView, name: str, claim: str, what: str) -> list[Test]:
    """One test a layer; layers that are read together share what reading costs."""
    widths, steps = comparable(measured, measured.some_steps(measured.settings.most_steps, name))
    if claim == CHANGE and len(steps) < 2:
        raise NothingToCompare(f"`{name}` was recorded at one step that counts: record more of them")
    counted, until = counting(measured, steps), int(measured.steps[steps[-1]])
    layers = measured.names("layer", "layer_name") if name == FEATURE else [""]
    together = max(1, SLAB_BYTES * len(layers) // (len(steps) * measured.step_bytes(name)))
    found = []
    for start in range(0, len(layers), together):
        part = range(start, min(start + together, len(layers)))
        kernels = [
            measured.read(name, w, steps, part if name == FEATURE else None)[counted[w]] for w in widths
        ]
        for at, layer in enumerate(part):
            mine = [k[:, :, at] for k in kernels] if name == FEATURE else kernels
            where = {"layer": layers[layer]} if name == FEATURE else {"kernel": "tangent"}
            title = f"layer `{layers[layer]}`" if name == FEATURE else "the network (tangent kernel)"
            where |= {"until_step": until}
            try:
                products = measured.products(widths, _blocks(mine, changes=claim == CHANGE))
            except NothingToCompare as reason:
                found.append(
                    Test(claim=claim, where=where, weak=f"The {what} {title} cannot tell: {reason}.")
                )
                continue
            found.append(gap_test(measured, claim, products, where, what=f"{what} {title}"))
    return found


def _blocks(kernels: list[Float[np.ndarray, "_ step point point_b"]], *, changes: bool) -> Iterator[Block]:
    """Upper triangles, a step at a time; minus those at the first step if `changes`."""
    upper = np.triu_indices(kernels[0].shape[-1])
    for step in range(int(changes), kernels[0].shape[1]):
        block = [k[:, step] - k[:, 0] if changes else k[:, step] for k in kernels]
        yield [k[:, upper[0], upper[1]] for k in block]
