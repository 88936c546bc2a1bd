"""How far networks of two widths are from each other, pair by pair, beside what seeds alone make."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from widthwise.analysis.seeds import bootstrap_counts

RESAMPLES = 400
Distance = Callable[[Any, Any], float]


@dataclass(frozen=True)
class Pairs:
    """Distances between one network of either width.

    **Fields:** `value`, their mean over all pairs, and its `interval` from a bootstrap over the seeds of both
    widths; `floor`, the mean over pairs of different seeds of one width, averaged over both widths: what
    `value` is where the width makes no difference; NaN if neither width has two seeds.
    """

    value: float
    interval: tuple[float, float]
    floor: float


def compare_pairs(
    narrow: Shaped[np.ndarray, "seed *value"],
    wide: Shaped[np.ndarray, "other *value"],
    distance: Distance,
    *,
    alpha: float,
    rng: np.random.Generator,
) -> Pairs:
    """Distances between all networks of two widths, one or more of each.

    **Arguments:** `distance`, symmetric, of what was measured of two networks; `alpha`, of the interval.

    >>> found = compare_pairs(np.array([0.0, 2.0]), np.array([1.0, 3.0]), lambda a, b: abs(a - b),
    ...                       alpha=0.05, rng=np.random.default_rng(0))
    >>> found.value, found.floor
    (1.5, 2.0)
    """
    cross = np.array([[distance(a, b) for b in wide] for a in narrow])
    draws = [
        float(a @ cross @ b) / cross.size
        for a, b in zip(
            bootstrap_counts(len(narrow), RESAMPLES, rng),
            bootstrap_counts(len(wide), RESAMPLES, rng),
            strict=True,
        )
    ]
    low, high = np.quantile(draws, [alpha / 2, 1 - alpha / 2])
    within = [_within(group, distance) for group in (narrow, wide)]
    known = [value for value in within if not math.isnan(value)]
    floor = float(np.mean(known)) if known else math.nan
    return Pairs(float(cross.mean()), (float(low), float(high)), floor)


def _within(group: Shaped[np.ndarray, "seed *value"], distance: Distance) -> float:
    count = len(group)
    pairs = [distance(group[i], group[j]) for i in range(count) for j in range(i)]
    return float(np.mean(pairs)) if pairs else math.nan


def jensen_shannon(
    first: Float[np.ndarray, "*row outcome"], second: Float[np.ndarray, "*row outcome"]
) -> Float[np.ndarray, "*row"]:
    r"""Divergence $H(\frac{p + q}{2}) - \frac{H(p) + H(q)}{2}$ of distributions over the last axis, in nats:
    0 where they are equal, $\ln 2$ where they share no outcome.

    >>> jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])).round(4)
    np.float64(0.6931)
    """
    middle = entropy((first + second) / 2)
    return np.asarray(np.maximum(middle - (entropy(first) + entropy(second)) / 2, 0.0))


def entropy(distribution: Float[np.ndarray, "*row outcome"]) -> Float[np.ndarray, "*row"]:
    r"""$-\sum_k p_k \ln p_k$ over the last axis, in nats, with $0 \ln 0 = 0$.

    >>> entropy(np.full(8, 1 / 8)).round(4) == np.log(8).round(4)
    np.True_
    """
    safe = np.where(distribution > 0, distribution, 1.0)
    return np.asarray(-(safe * np.log(safe) * (distribution > 0)).sum(axis=-1))
