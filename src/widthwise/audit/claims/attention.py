"""Attention is scaled with the width as it should be, and agrees between widths."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from widthwise.analysis.verdict import OWN, Test, Untested
from widthwise.audit.claims import heads
from widthwise.audit.claims.function_gaps import Block, comparable, counting, gap_test
from widthwise.audit.claims.width_exponent import exponent_test, fit_positive
from widthwise.audit.ensemble_view import EnsembleView, NothingToCompare

CLAIM = "attention"
LEAST = 1e-6  # a logit's spread below this is rounding, as where queries or keys start at zero


def tests(measured: EnsembleView) -> list[Test] | Untested:
    r"""At initialization, the spread of attention logits over keys goes as N^-1/2 where heads grow; later,
    gaps between widths shrink: of logits, mean over heads, and of rows' entropies.

    Logits are known from attention up to a constant a row: log a_qk - mean_k log a_qk. In muP they are q.k/d
    of independent q and k, hence ~ d^-1/2; scaled by 1/sqrt(d) they stay of order 1, and trained queries and
    keys make them grow. Of heads of fixed size they stay of order 1 in both.
    """
    if not measured.has("attention", "step", "block", "head", "query", "key"):
        if measured.has("attention_entropy", "step", "block", "head"):
            return heads.recorded_entropy_tests(measured)
        why = measured.missing("attention")
        return Untested(claim=CLAIM, why=why or "`attention` lacks step, block, head, query or key")
    found = _initial(measured)
    widths, steps = comparable(measured, measured.some_steps(measured.settings.most_steps, "attention"))
    steps = [s for s in steps if s > 0] or steps
    for block, name in enumerate(measured.names("block")):
        found += _later(measured, (widths, steps), block, name)
        found += heads.entropy_test(measured, block, name)
    return found or Untested(claim=CLAIM, why="no row of `attention` has weights of two keys or more")


def _heads_are_fixed(measured: EnsembleView) -> bool:
    """Whether heads do not grow with the width, by what was recorded or else by the study."""
    if measured.has("attention_head_size", "step"):
        sizes = [
            np.nanmax(v) if np.isfinite(v).any() else 0.0 for v in measured.numbers("attention_head_size")
        ]
        return bool(sizes[0] == sizes[-1])
    return measured.study is not None and bool(measured.study.network.head_size)


def _later(measured: EnsembleView, grid: tuple[list[int], list[int]], block: int, name: str) -> list[Test]:
    """Gaps of mean logits, relative to those of one head: signs of heads and of seeds may cancel."""
    widths, steps = grid
    try:
        products = measured.products(widths, _blocks(measured, grid, block))
    except NothingToCompare:
        return []  # so sharp that no key has a weight in all networks: entropies tell
    where = {"block": name, "until_step": int(measured.steps[steps[-1]])}
    size = _size(measured, (widths[-1], steps), block)
    return [gap_test(measured, CLAIM, products, where, what=f"attention logits of `{name}`", size=size)]


def _initial(measured: EnsembleView) -> list[Test]:
    found = []
    for block, name in enumerate(measured.names("block")):
        spread = []
        for width in range(len(measured.widths)):
            logits = _logits(heads.read_heads(measured, width, 0, block))
            count = np.maximum(np.isfinite(logits).sum(axis=(1, 2, 3)), 1)
            size = np.sqrt(np.nansum(logits**2, axis=(1, 2, 3)) / count)
            size[~measured.usable(0)[width] | ~(size > LEAST)] = np.nan
            spread.append(size)
        where = {
            "block": name,
            "quantity": "attention logits",
            "step": int(measured.steps[0]),
            "rule": "attention_scale",
        }
        fix = "scale logits as q.k/d, not q.k/sqrt(d), with heads of size d that grows"
        what = f"The spread of attention logits in `{name}` at initialization"
        law = -0.5 if measured.settings.limit == "mup" and not _heads_are_fixed(measured) else 0.0
        test = exponent_test(
            measured,
            CLAIM,
            fit_positive(measured, spread),
            where,
            what=what,
            fix=fix,
            low=law,
            high=law,
            depth=OWN,
        )
        found += [test] if test else []
    return found


def _logits(attention: Float[np.ndarray, "seed head query key"]) -> Float[np.ndarray, "seed head query key"]:
    """Logarithms less their mean over the keys that are seen, NaN at those that are not."""
    seen = attention > 0
    with np.errstate(all="ignore"):
        logs = np.where(seen, np.log(np.where(seen, attention, 1.0)), np.nan)
        logs = np.where(seen.sum(axis=-1, keepdims=True) > 1, logs, np.nan)
        count = np.maximum(np.isfinite(logs).sum(axis=-1, keepdims=True), 1)
        return logs - np.nansum(logs, axis=-1, keepdims=True) / count


def _size(measured: EnsembleView, grid: tuple[int, list[int]], block: int) -> float:
    """Root mean square of the logits of a width's heads over the steps."""
    width, steps = grid
    counted, squares, count = counting(measured, steps)[width], 0.0, 0
    for step in steps:
        logits = _logits(heads.read_heads(measured, width, step, block)[counted])
        squares, count = squares + float(np.nansum(logits**2)), count + int(np.isfinite(logits).sum())
    return (squares / count) ** 0.5 if count else 0.0


def _blocks(measured: EnsembleView, grid: tuple[list[int], list[int]], block: int) -> Iterator[Block]:
    """Mean logits over heads: heads are exchangeable, and may grow in number."""
    widths, steps = grid
    counted = counting(measured, steps)
    for step in steps:
        read = [heads.read_heads(measured, w, step, block)[counted[w]] for w in widths]
        yield [_logits(each).mean(axis=1) for each in read]
