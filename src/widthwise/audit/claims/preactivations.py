"""Preactivations are distributed alike at every width."""

from collections.abc import Iterator

import numpy as np

from widthwise.analysis.verdict import Test, Untested
from widthwise.audit.claims.function_gaps import Block, comparable, counting, gap_test
from widthwise.audit.ensemble_view import EnsembleView

CLAIM = "preactivations"


def tests(measured: EnsembleView) -> list[Test] | Untested:
    r"""Gaps between widths of the quantile functions at each point, for each layer, relative to their spread.

    Distances of quantile functions are Wasserstein distances: $W_2^2 = \int |Q_N(q) - Q_M(q)|^2 dq$. Neurons
    are pooled in the quantiles; a network of N neurons knows its quantiles to N^-1/2, and seeds' means to the
    rest of the noise, which is measured.
    """
    if not measured.has("preactivation_quantile", "step", "layer", "point", "quantile"):
        why = measured.missing("preactivation_quantile")
        return Untested(
            claim=CLAIM, why=why or "`preactivation_quantile` lacks step, layer, point or quantile"
        )
    name = "preactivation_quantile"
    widths, steps = comparable(measured, measured.some_steps(measured.settings.most_steps, name))
    weights = _weights(measured)
    found = []
    for layer, name in enumerate(measured.names("layer", "layer_name")):
        products = measured.products(widths, _blocks(measured, (widths, steps), layer, weights))
        where = {"layer": name, "until_step": int(measured.steps[steps[-1]])}
        found.append(
            gap_test(measured, CLAIM, products, where, what=f"preactivation distributions of `{name}`")
        )
    return found


def _weights(measured: EnsembleView) -> np.ndarray:
    """Roots of the share of each level, up to a factor, by the trapezoidal rule; alike if none is known."""
    records = measured.records
    count = records.sizes["quantile"]
    known = "quantile" in records.coords and records["quantile"].dtype.kind in "iuf"
    levels = records["quantile"].to_numpy().astype(float) if known else np.linspace(0, 1, count)
    if count < 2 or not (np.diff(levels) > 0).all():
        return np.ones(count)
    return np.sqrt(np.gradient(levels))


def _blocks(
    measured: EnsembleView, grid: tuple[list[int], list[int]], layer: int, weights: np.ndarray
) -> Iterator[Block]:
    widths, steps = grid
    counted, name = counting(measured, steps), "preactivation_quantile"
    dims = [d for d in measured.records[name].dims if d not in ("width", "layer")]
    last = [d for d in dims if d not in ("seed", "step")].index("quantile") + 2
    for part in measured.slabs(name, steps):
        values = [measured.read(name, width, part, layer)[counted[width]] for width in widths]
        yield [np.moveaxis(each, last, -1) * weights for each in values]
