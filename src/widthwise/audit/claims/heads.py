"""What single attention heads do at each width: how sharply they attend, and whether they attend alike."""

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int

from widthwise.analysis.attention_heads import matched_divergence, mean_divergence, relative_entropy_of_rows
from widthwise.analysis.verdict import Test
from widthwise.audit.claims.described import pair_rows
from widthwise.audit.claims.function_gaps import Block, comparable, counting, gap_test
from widthwise.audit.ensemble_view import EnsembleView, NothingToCompare

CLAIM = "attention"
MOST_ROWS = 16  # of which pairs of heads are compared
KINDS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "matched heads": matched_divergence,
    "mean over heads": mean_divergence,
}


def entropy_test(measured: EnsembleView, block: int, name: str) -> list[Test]:
    """Gaps between widths of the entropy of attention rows, mean over heads, over that of uniform rows.

    Means of logits over heads miss what differs in sign between heads; entropies do not.
    """
    widths, steps = comparable(measured, measured.some_steps(measured.settings.most_steps, "attention"))
    try:
        products = measured.products(widths, _entropies(measured, (widths, steps), block))
    except NothingToCompare:
        return []
    where = {"block": name, "quantity": "entropy of rows", "until_step": int(measured.steps[steps[-1]])}
    return [gap_test(measured, CLAIM, products, where, what=f"entropies of attention in `{name}`", size=1.0)]


def recorded_entropy_tests(measured: EnsembleView) -> list[Test]:
    """The same from `attention_entropy`, mean over heads, relative to the widest networks' mean."""
    candidates = measured.some_steps(measured.settings.most_steps, "attention_entropy")
    widths, steps = comparable(measured, candidates)
    counted, found = counting(measured, steps), []
    for block, name in enumerate(measured.names("block")):
        values = [_recorded(measured, width, block)[counted[width]][:, steps] for width in widths]
        where = {"block": name, "quantity": "entropy of rows", "until_step": int(measured.steps[steps[-1]])}
        products = measured.products(widths, iter([values]))
        found.append(gap_test(measured, CLAIM, products, where, what=f"entropies of attention in `{name}`"))
    return found


def descriptions(measured: EnsembleView) -> list[Test]:
    """At the last step, the Jensen-Shannon divergence between rows of one
    network of each width and one of the widest, of heads matched one to one, since heads of different
    initializations are exchangeable, and of means over heads; and what two seeds of one width show."""
    if not measured.has("attention", "step", "block", "head", "query", "key"):
        return []
    widths, steps = comparable(measured, measured.some_steps(measured.settings.most_steps, "attention"))
    found = []
    for block, name in enumerate(measured.names("block")):
        found += _divergences(measured, (widths, steps[-1]), block, name)
    return found


def read_heads(
    measured: EnsembleView, width: int, step: int, block: int
) -> Float[np.ndarray, "seed head query key"]:
    """Attention weights at the positions of a width, a step and a block."""
    array = measured.records["attention"].isel(width=width, step=step, block=block).load()
    return array.transpose("seed", "head", "query", "key").to_numpy().astype(np.float64)


def _recorded(measured: EnsembleView, width: int, block: int) -> Float[np.ndarray, "seed step"]:
    array = measured.records["attention_entropy"].isel(width=width, block=block).load()
    return array.transpose("seed", "step", "head").to_numpy().astype(np.float64).mean(axis=2)


def _entropies(measured: EnsembleView, grid: tuple[list[int], list[int]], block: int) -> Iterator[Block]:
    widths, steps = grid
    counted, keys = counting(measured, steps), _keys(measured, grid, block)
    for step in steps:
        yield [
            relative_entropy_of_rows(read_heads(measured, w, step, block)[counted[w]], keys).mean(axis=1)
            for w in widths
        ]


def _keys(measured: EnsembleView, grid: tuple[list[int], list[int]], block: int) -> Int[np.ndarray, " query"]:
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


def _divergences(measured: EnsembleView, grid: tuple[list[int], int], block: int, name: str) -> list[Test]:
    widths, step = grid
    usable = measured.usable(step)
    heads = [_some_rows(read_heads(measured, w, step, block)[usable[w]]) for w in widths]
    if not all(h.size and np.isfinite(h).all() for h in heads):
        return []
    found = []
    for kind, distance in KINDS.items():
        where = {"block": name, "quantity": kind, "step": int(measured.steps[step])}
        found += pair_rows(
            measured,
            CLAIM,
            widths,
            heads,
            where | {"unit": "Jensen-Shannon divergence"},
            distance=distance,
            words=lambda x, n, m, kind=kind: (
                f"Attention in `{name}` ({kind}) of networks of N = {n} and {m} "
                f"differs by {x:.2g} nats (Jensen-Shannon)"
            ),
        )
    return found
