"""Descriptions: numbers of each width beside those of the widest. They judge nothing and count in no test."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Shaped
from scipy import stats

from widthwise.analysis.pairs import Distance, compare_pairs
from widthwise.analysis.verdict import Test, Where
from widthwise.audit.ensemble_view import EnsembleView

MOST_NETWORKS = 8  # of each width, of which pairs are compared


def mean_rows(
    measured: EnsembleView,
    claim: str,
    widths: Sequence[int],
    values: Sequence[Float[np.ndarray, " _"]],
    where: Where,
    *,
    words: Callable[[str, str], str],
) -> list[Test]:
    """One row for each width but the widest: the mean over its networks, with Student's interval, beside the
    widest's. Networks without the number (NaN) are left out, and so are widths without networks.

    **Arguments:** `values` of each network at the positions `widths`; `words`, from the number at a width and
    that at the widest, as texts, to a sentence.
    """
    known = [v[np.isfinite(v)] for v in values]
    if not len(known[-1]):
        return []
    reference = float(known[-1].mean())
    found = []
    for width, own in zip(widths[:-1], known[:-1], strict=True):
        if not len(own):
            continue
        value, half = float(own.mean()), math.nan
        if len(own) > 1:
            error = float(own.std(ddof=1)) / math.sqrt(len(own))
            half = float(stats.t.isf(measured.alpha / 2, len(own) - 1)) * error
        n, last = measured.widths[width], measured.widths[widths[-1]]
        sentence = words(f"{value:.3g} at N = {n}", f"{reference:.3g} at N = {last}")
        found.append(
            Test(
                claim=claim,
                where=dict(where) | {"width": n, "against": last},
                estimate=value,
                interval=None if math.isnan(half) else (value - half, value + half),
                expected=reference,
                advice_good=sentence,
            )
        )
    return found


def pair_rows(
    measured: EnsembleView,
    claim: str,
    widths: Sequence[int],
    values: Sequence[Shaped[np.ndarray, "_ ..."]],
    where: Where,
    *,
    distance: Distance,
    words: Callable[[float, int, int], str],
) -> list[Test]:
    """One row for each width but the widest: the mean distance of one of its networks from one of the widest,
    with a bootstrap's interval, beside that of two seeds of one width.

    **Arguments:** `values` of each network at the positions `widths`, of which eight count; `words`, from the
    distance and both widths to a sentence without its full stop.
    """
    rng = np.random.default_rng(measured.settings.seed)
    values = [v[:MOST_NETWORKS] for v in values]
    if len(widths) < 2 or not all(len(v) for v in values):
        return []
    found = []
    for width, own in zip(widths[:-1], values[:-1], strict=True):
        pairs = compare_pairs(own, values[-1], distance, alpha=measured.alpha, rng=rng)
        n, last = measured.widths[width], measured.widths[widths[-1]]
        sentence, known = words(pairs.value, n, last), math.isfinite(pairs.floor)
        found.append(
            Test(
                claim=claim,
                where=dict(where) | {"width": n, "against": last},
                estimate=pairs.value,
                interval=pairs.interval,
                expected=pairs.floor if known else None,
                advice_good=f"{sentence}; {pairs.floor:.2g} of two seeds of one width."
                if known
                else f"{sentence}.",
            )
        )
    return found
