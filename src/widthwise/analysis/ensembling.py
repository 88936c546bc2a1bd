r"""What averaging networks removes, and what only width removes: variance, bias, and curves between.

For squared errors exactly: $L_{single} = B^2 + V$, and the loss of an ensemble of n networks is $B^2 + V/n$.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy import special

from widthwise.analysis.estimate import Estimate
from widthwise.analysis.exponents import Exponent, first_wide, fit_estimates, slope_coefficients
from widthwise.analysis.families import sum_error
from widthwise.analysis.fits import limit_coefficients
from widthwise.analysis.gaps import Products
from widthwise.analysis.seeds import bootstrap_counts, centered_products

Kind = Literal["mse", "cross_entropy"]
MOST_SUBSETS = 64
MOST_SIZES = 64  # of ensembles whose losses are averaged over subsets
DRAWS = 100


@dataclass(frozen=True)
class Ensembling:
    """Mean losses of ensembles of n = 1, 2, ... networks, and of infinitely many, with bootstrap scatter."""

    curve: Float[np.ndarray, " size"]
    infinite: float
    draws: Float[np.ndarray, " draw"]
    single_draws: Float[np.ndarray, " draw"]

    @property
    def single(self) -> float:
        """Mean loss of one network."""
        return float(self.curve[0])

    @property
    def variance_part(self) -> float:
        """What ensembling removes of a single network's loss."""
        return self.single - self.infinite


def measure_ensembling(
    outputs: Float[np.ndarray, "seed point output"],
    target: Float[np.ndarray, "point output"],
    kind: Kind,
    rng: np.random.Generator,
    counts: Float[np.ndarray, "draw seed"] | None = None,
) -> Ensembling:
    r"""Losses of mean outputs over subsets of seeds, extrapolated to infinitely many.

    Squared errors (1/2, summed over outputs, mean over points) are exact: $B^2 = L_{ens}(E) - V/E$, unbiased.
    Cross entropy is of mean logits, $L_{ens}(n) = L_\infty + c/n$ through n = E and the mean of E / 2.

    **Arguments:** `outputs` of two or more networks; `counts`, how often each is drawn in resamples that are
    those of families at all widths, drawn here if not given.
    """
    seeds = len(outputs)
    draws, singles = [], []
    if counts is None:
        counts = bootstrap_counts(seeds, DRAWS, rng)
        counts = counts[(counts > 0).sum(axis=1) > 1]
    for weights in counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0):
        draws.append(_infinite(outputs, target, kind, weights))
        singles.append(float(weights @ losses_of(outputs, target, kind)))
    infinite = _infinite(outputs, target, kind, np.full(seeds, 1 / seeds))
    if kind == "mse":
        spread = float(losses_of(outputs, target, kind).mean()) - infinite
        curve = infinite + spread / np.arange(1, seeds + 1)
    else:
        sizes = range(1, min(seeds, MOST_SIZES) + 1)
        curve = np.array([_mean_loss(outputs, target, kind, size, rng) for size in sizes])
    return Ensembling(curve, infinite, np.array(draws), np.array(singles))


def _infinite(
    outputs: Float[np.ndarray, "seed point output"],
    target: Float[np.ndarray, "point output"],
    kind: Kind,
    weights: Float[np.ndarray, " seed"],
) -> float:
    """From single networks and the weighted whole: L(n) = L + c/n, with the effective number of networks.

    Exact for squared errors whatever the weights, where seeds drawn twice count as one network.
    """
    count = 1 / float(weights @ weights)
    whole = float(losses_of(np.tensordot(weights, outputs, 1)[None], target, kind)[0])
    if count <= 1:
        return whole
    if kind == "mse" or count < 4:
        single = float(weights @ losses_of(outputs, target, kind))
        return whole - (single - whole) / (count - 1)
    halves = []  # from n = E/2 and E, since cross entropy is curved in 1/n at small n
    order = np.flatnonzero(weights > 0)
    for part in (order[::2], order[1::2]):
        share = weights[part] / weights[part].sum()
        halves.append(
            (
                1 / float(share @ share),
                losses_of(np.tensordot(share, outputs[part], 1)[None], target, kind)[0],
            )
        )
    half, loss = np.mean(halves, axis=0)
    return float(whole - (loss - whole) * (1 / count) / (1 / half - 1 / count))


def _mean_loss(
    outputs: np.ndarray, target: np.ndarray, kind: Kind, size: int, rng: np.random.Generator
) -> float:
    seeds = len(outputs)
    if math.comb(seeds, size) <= MOST_SUBSETS:
        subsets = [list(s) for s in combinations(range(seeds), size)]
    else:
        subsets = [rng.permutation(seeds)[:size].tolist() for _ in range(MOST_SUBSETS)]
    return float(np.mean([losses_of(outputs[s].mean(axis=0)[None], target, kind)[0] for s in subsets]))


def losses_of(
    outputs: Float[np.ndarray, "network point output"], target: Float[np.ndarray, "point output"], kind: Kind
) -> Float[np.ndarray, " network"]:
    """Of each network, the mean over points of 1/2 the squared error, or of the cross entropy."""
    if kind == "mse":
        return 0.5 * ((outputs - target) ** 2).sum(axis=2).mean(axis=1)
    shifted = outputs - outputs.max(axis=2, keepdims=True)  # as scipy's, in a third of its time
    logs = shifted - np.log(np.exp(shifted).sum(axis=2, keepdims=True))
    return -(target * logs).sum(axis=2).mean(axis=1)


@dataclass(frozen=True)
class Gap:
    r"""What separates one network of a width from infinite width: variance and bias.

    **Fields:** `variance`, $L_N - B^2_N$; `bias`, $B^2_N - L_\infty$, negative where the wide are worse;
    `share`, of the variance in both, a negative bias counting as none, with its `interval`; `error`, the
    standard error of $B^2_N$.
    """

    variance: float
    bias: float
    share: float
    interval: tuple[float, float]
    error: float


def split_gap(
    widths: Sequence[int],
    found: Sequence[Ensembling],
    index: int,
    alpha: float,
    *,
    limit: float | None = None,
) -> Gap:
    r"""The gap of the width at `index`: what ensembling removes of it, and what only width removes.

    $L_\infty$ is the intercept of $B^2_N$ in 1/N, weighted with N; of fewer than four widths the widest's
    $B^2_N$; `limit` in its place where theory knows it. The interval is a percentile one, of the seeds'
    resamples of all widths.
    """
    numbers = np.array(widths, dtype=float)
    coefficients = np.eye(len(widths))[-1] if len(widths) < 4 else limit_coefficients(numbers, numbers)
    own = found[index]
    fitted = float(coefficients @ np.array([each.infinite for each in found]))
    bias = own.infinite - (fitted if limit is None else limit)
    count = min((len(each.draws) for each in found), default=0)
    infinite = np.array([each.draws[:count] for each in found]).reshape(len(found), count)
    spread = own.single_draws[:count] - infinite[index]
    limits = coefficients @ infinite if limit is None else limit
    shares = _share(spread, infinite[index] - limits)
    low, high = np.quantile(shares, [alpha / 2, 1 - alpha / 2]) if count else (0.0, 1.0)
    return Gap(
        variance=own.variance_part,
        bias=bias,
        share=float(_share(np.array(own.variance_part), np.array(bias))),
        interval=(float(low), float(high)),
        error=float(own.draws.std()) if len(own.draws) else 0.0,
    )


def _share(variance: Float[np.ndarray, "*draw"], bias: Float[np.ndarray, "*draw"]) -> np.ndarray:
    variance, bias = np.maximum(variance, 0.0), np.maximum(bias, 0.0)
    return np.asarray(variance / np.maximum(variance + bias, 1e-300))


def variance_exponent(products: Products) -> Exponent:
    r"""a of $V_N \sim N^{-a}$, from variances pooled over elements.

    A pooled variance of E networks and r effective elements is $\chi^2_{r (E-1)}$ distributed, up to scale:
    its logarithm has the variance $\psi'(r (E-1) / 2)$ and a bias that is removed. Of families the error is
    that of their shares in all widths' logarithms together.
    """
    rank, measured = products.rank(), []
    for width in range(len(products.widths)):
        value, dof = products.variance(width), products.seeds(width) - 1
        if not dof or not value > 0:
            measured.append(Estimate(value=0.0, error=math.inf, dof=1.0))
            continue
        half = rank * dof / 2
        bias = float(special.digamma(half)) - math.log(half)
        error = math.sqrt(float(special.polygamma(1, half)))
        measured.append(Estimate(value=bias - math.log(value), error=error, dof=rank * dof))
    fitted = fit_estimates(products.widths, measured)
    if products.family is None or any(math.isinf(each.error) for each in measured):
        return fitted
    wide = _of_families(products, fitted.wide, first_wide(len(measured)))
    return Exponent(overall=_of_families(products, fitted.overall, 0), wide=wide)


def _of_families(products: Products, fitted: Estimate, first: int) -> Estimate:
    """An exponent of the widths from the `first` on, with the error that families give it."""
    assert products.family is not None
    places, parts, labels = range(first, len(products.widths)), [], []
    slopes = slope_coefficients(np.log(np.array(products.widths[first:], dtype=float)))
    for width, slope in zip(places, slopes, strict=True):
        own = np.diagonal(centered_products(products.own(width)))
        parts.append(slope * own / max(own.sum(), 1e-300))
        labels.append(products.family[products.owner == width])
    error, count = sum_error(parts, labels)
    return Estimate(value=fitted.value, error=error, dof=max(1.0, count - 1.0))
