"""What single attention heads do at each width: how sharply they attend, and whether they attend alike."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float, Int

from widthwise.analysis.heads import matched_divergence, mean_divergence, relative_entropy_of_rows
from widthwise.analysis.pairs import compare_pairs
from widthwise.audit.claim import Test
from widthwise.audit.claims.gaps import Block, comparable, counting, gap_test
from widthwise.audit.measured import Measured

CLAIM = "attention"
MOST_ROWS, MOST_NETWORKS = 16, 8  # of which pairs of heads are compared
KINDS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "matched heads": matched_divergence,
    "mean over heads": mean_divergence,
}


def entropy_test(measured: Measured, block: int, name: str) -> Test:
    """Gaps between widths of the entropy of attention rows, mean over heads, over that of uniform rows.

    Means of logits over heads miss what differs in sign between heads; entropies do not.
    """
    widths, steps = comparable(measured, measured.some_steps(measured.settings.most_steps))
    products = measured.products(widths, _entropies(measured, (widths, steps), block))
    where = {"block": name, "quantity": "entropy of rows", "until_step": int(measured.steps[steps[-1]])}
    return gap_test(measured, CLAIM, products, where, what=f"entropies of attention in `{name}`", size=1.0)


def recorded_entropy_tests(measured: Measured, names: Sequence[str]) -> list[Test]:
    """The same from `attention_entropy`, mean over heads, relative to the widest networks' mean."""
    widths, steps = comparable(measured, measured.some_steps(measured.settings.most_steps))
    counted, found = counting(measured, steps), []
    for block, name in enumerate(names):
        values = [_recorded(measured, width, block)[counted[width]][:, steps] for width in widths]
        where = {"block": name, "quantity": "entropy of rows", "until_step": int(measured.steps[steps[-1]])}
        products = measured.products(widths, iter([values]))
        found.append(gap_test(measured, CLAIM, products, where, what=f"entropies of attention in `{name}`"))
    return found


def divergences(measured: Measured, block: int, name: str) -> list[Test]:
    """Descriptions, which judge nothing: at the last step, the Jensen-Shannon divergence between rows of one
    network of each width and one of the widest, of heads matched one to one, since heads of different
    initializations are exchangeable, and of means over heads; and what two seeds of one width show."""
    widths, steps = comparable(measured, measured.some_steps(measured.settings.most_steps))
    usable, rng = measured.usable(steps[-1]), np.random.default_rng(measured.settings.seed)
    heads = [_some_rows(read_heads(measured, w, steps[-1], block)[usable[w]][:MOST_NETWORKS]) for w in widths]
    if len(widths) < 2 or not all(len(h) and h.size and np.isfinite(h).all() for h in heads):
        return []
    found = []
    for index, width in enumerate(widths[:-1]):
        for kind, distance in KINDS.items():
            pairs = compare_pairs(heads[index], heads[-1], distance, alpha=measured.alpha, rng=rng)
            known = np.isfinite(pairs.floor)
            seeds = f"; two seeds of one width by {pairs.floor:.2g}" if known else ""
            where = {
                "block": name,
                "quantity": kind,
                "width": measured.widths[width],
                "against": measured.widths[widths[-1]],
                "step": int(measured.steps[steps[-1]]),
                "unit": "Jensen-Shannon divergence",
            }
            found.append(
                Test(
                    claim=CLAIM,
                    where=where,
                    estimate=pairs.value,
                    interval=pairs.interval,
                    expected=pairs.floor if known else None,
                    advice_good=f"Attention in `{name}` ({kind}) of N = {where['width']} and of N = "
                    f"{where['against']} differs by {pairs.value:.2g} nats of Jensen-Shannon divergence"
                    f"{seeds}.",
                )
            )
    return found


def read_heads(
    measured: Measured, width: int, step: int, block: int
) -> Float[np.ndarray, "seed head query key"]:
    """Attention weights at the positions of a width, a step and a block."""
    array = measured.records["attention"].isel(width=width, step=step, block=block).load()
    return array.transpose("seed", "head", "query", "key").to_numpy().astype(np.float64)


def _recorded(measured: Measured, width: int, block: int) -> Float[np.ndarray, "seed step"]:
    array = measured.records["attention_entropy"].isel(width=width, block=block).load()
    return array.transpose("seed", "step", "head").to_numpy().astype(np.float64).mean(axis=2)


def _entropies(measured: Measured, grid: tuple[list[int], list[int]], block: int) -> Iterator[Block]:
    widths, steps = grid
    counted, keys = counting(measured, steps), _keys(measured, grid, block)
    for step in steps:
        values = [
            relative_entropy_of_rows(read_heads(measured, w, step, block)[counted[w]], keys).mean(axis=1)
            for w in widths
        ]
        good = np.all([np.isfinite(v).all(axis=0) for v in values], axis=0)
        if good.any():
            yield [v[:, good] for v in values]


def _keys(measured: Measured, grid: tuple[list[int], list[int]], block: int) -> Int[np.ndarray, " query"]:
    """How many keys each row may attend to: those that any head of any network does at the first step.

    Where one head attends sharply, zeros of single precision are no mask.
    """
    widths, steps = grid
    usable = measured.usable(steps[0])
    seen = [(read_heads(measured, w, steps[0], block)[usable[w]] > 0).any(axis=(0, 1)) for w in widths]
    return np.any(seen, axis=0).sum(axis=-1)


def _some_rows(attention: Float[np.ndarray, "seed head query key"]) -> Float[np.ndarray, "_ _ _ _"]:
    count = attention.shape[2]
    rows = np.unique(np.linspace(0, count - 1, min(count, MOST_ROWS)).round().astype(int))
    return attention[:, :, rows]
