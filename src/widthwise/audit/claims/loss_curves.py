"""Loss curves of wide networks agree."""

from collections.abc import Iterator

import numpy as np

from widthwise.analysis.verdict import Test, Untested
from widthwise.audit.claims.function_gaps import Block, alive_blocks, comparable, gap_test
from widthwise.audit.ensemble_view import EnsembleView

CLAIM = "loss_curves"


def tests(measured: EnsembleView) -> list[Test] | Untested:
    r"""One test a split: gaps of $\bar L_N(t) / L(t)$ between successive widths shrink.

    L(t) is the mean over all networks, so that early and late steps count alike.
    """
    name = "loss" if "loss" in measured.records else "batch_loss"
    if why := measured.missing(name):
        return Untested(claim=CLAIM, why=why)
    candidates = measured.some_steps(64, name)
    widths, steps = comparable(measured, candidates)
    splits = measured.records.sizes.get("split", 1) if name == "loss" else 1
    found = []
    for split in range(splits):
        products = measured.products(widths, _relative(measured, name, (widths, steps), split))
        where = {"split": split_names(measured, splits)[split], "until_step": int(measured.steps[steps[-1]])}
        found.append(gap_test(measured, CLAIM, products, where, what="loss curves", size=1.0))
    return found


def split_names(measured: EnsembleView, splits: int) -> list[str]:
    """Names along `split`: those of the points, in order of appearance."""
    records = measured.records
    if "split" in records.coords and records["split"].ndim == 1:
        names = list(dict.fromkeys(str(name) for name in records["split"].to_numpy()))
        if len(names) == splits:
            return names
    return ["all"] if splits == 1 else [f"split {index}" for index in range(splits)]


def _relative(
    measured: EnsembleView, name: str, grid: tuple[list[int], list[int]], split: int
) -> Iterator[Block]:
    for _, block in alive_blocks(measured, name, grid[1], grid[0]):
        curves = [values.reshape(*values.shape[:2], -1)[..., split] for values in block]
        mean = np.mean([curve.mean(axis=0) for curve in curves], axis=0)
        good = np.isfinite(mean) & (mean > 0)
        yield [curve[:, good] / mean[good] for curve in curves]
