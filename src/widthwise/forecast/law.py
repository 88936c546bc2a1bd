r"""The law of widths, $L(N, t) = L_\infty(t) + c(t) N^{-a(t)}$, and what it says of any width.

At each step $L_\infty$ and c have flat priors, so that nothing is assumed of the shape of a curve; a has the
prior of `exponent.py`. Given a the law is linear: what it says of a width is a sum of the measured means.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy import special, stats

from widthwise.forecast.curves import Curves
from widthwise.forecast.exponent import EXPONENTS, SHIFTS, smooth
from widthwise.forecast.noise import Noise, neighbors, scatter_noise, seed_noise

DOUBT = 2.0  # steps of perfect agreement that misfit is weighed against
WINDOW = 1.0  # over which misfit is averaged, in log steps
SECANTS = 12
INEXACT = 0.003  # of the distance between narrowest and widest: how far means may be from any law
TABLE = np.sinh(np.linspace(-8, 8, 801))  # of Student's t


@dataclass(frozen=True)
class Mixture:
    """Student's t distributions about `centers`, with `scales`, `dof` and probabilities `weights`."""

    centers: Float[np.ndarray, "step exponent"]
    scales: Float[np.ndarray, "step exponent"]
    weights: Float[np.ndarray, "step exponent"]
    dof: float

    def quantile(self, level: float) -> Float[np.ndarray, " step"]:
        """The value below which a share `level` lies: by secants of the distribution's normal score, which is
        nearly straight, within brackets."""
        table, score = stats.t.cdf(TABLE, self.dof), float(special.ndtri(level))
        reach = float(stats.t.isf(1e-6, self.dof)) * self.scales
        low, high = (self.centers - reach).min(axis=1), (self.centers + reach).max(axis=1)
        mean = (self.centers * self.weights).sum(axis=1)
        second = self.scales**2 + (self.centers - mean[:, None]) ** 2
        slope = np.sqrt((second * self.weights).sum(axis=1))
        at = np.clip(mean + score * slope, low, high)
        before = off_before = None
        for _ in range(SECANTS):
            below = np.interp((at[:, None] - self.centers) / self.scales, TABLE, table)
            share = np.clip((below * self.weights).sum(axis=1), 1e-12, 1 - 1e-12)
            off = special.ndtri(share) - score
            low, high = np.where(off < 0, at, low), np.where(off < 0, high, at)
            if before is not None and off_before is not None:
                moved, gained = at - before, off - off_before
                slope = np.where(moved * gained > 0, moved / np.where(gained == 0, 1.0, gained), slope)
            before, off_before = at, off
            at = at - slope * off
            at = np.where((at < low) | (at > high), (low + high) / 2, at)
        return at

    @property
    def last(self) -> "Mixture":
        """At the last step alone."""
        return replace(self, centers=self.centers[-1:], scales=self.scales[-1:], weights=self.weights[-1:])

    def widened(self, factor: Float[np.ndarray, " step"]) -> "Mixture":
        """All distances from the median times a factor at each step."""
        middle = self.quantile(0.5)[:, None]
        wider = factor[:, None]
        return replace(self, centers=middle + wider * (self.centers - middle), scales=wider * self.scales)


@dataclass(frozen=True)
class Law:
    """The law fitted to curves.

    **Fields:** `weights`, the probability of each shift and exponent at each step; `variance`, of one network
    of the narrowest width about the law: of seeds, of the law's own inexactness, and by what the law leaves.
    """

    curves: Curves
    noise: Noise
    weights: Float[np.ndarray, "step exponent"]
    variance: Float[np.ndarray, " step"]

    @cached_property
    def exponent(self) -> Float[np.ndarray, " step"]:
        """The mean of a at each step."""
        return self.weights.reshape(len(self.weights), len(SHIFTS), -1).sum(axis=1) @ EXPONENTS

    def at(self, width: float, seeds: float) -> Mixture:
        """Of the mean loss of `seeds` networks of a width; both may be infinite."""
        own = np.zeros(len(self.variance))
        widths = self.curves.widths
        if width >= widths[-1]:  # whose noise is not taken to be smaller than what the widest show
            own = self.noise.widest / seeds
        elif np.isfinite(seeds):
            own = self.noise.variance * self.noise.relative(np.array([width]), widths[0])[:, 0] / seeds
        return self._mixture(lambda precision: _coefficients(self.curves, precision, width), own)

    def gap(self, at: int) -> Mixture:
        """Of the distance of a trained width from infinite width, c N^-a."""
        ends = float(self.curves.widths[at]), np.inf
        return self._mixture(
            lambda precision: np.subtract(*(_coefficients(self.curves, precision, width) for width in ends)),
            np.zeros(len(self.variance)),
        )

    def _mixture(
        self,
        rows_of: Callable[[Float[np.ndarray, " width"]], Float[np.ndarray, "exponent width"]],
        own: Float[np.ndarray, " step"],
    ) -> Mixture:
        """Of a sum of means, whose coefficients depend on the precisions of these, with further noise."""
        centers = np.empty((len(own), len(self.weights[0])))
        squared = np.empty_like(centers)
        for precision, steps in _by_precision(self.curves, self.noise):
            rows = rows_of(precision)
            centers[steps] = (rows @ self.curves.means[:, steps]).T
            squared[steps] = np.outer(self.variance[steps], rows**2 @ (1 / precision)) + own[steps, None]
        return Mixture(centers, np.sqrt(squared) + 1e-300, self.weights, self.noise.dof)


def fit_law(curves: Curves) -> Law:
    """The law of curves of three widths or more (four with one seed each)."""
    noise = seed_noise(curves)
    if noise is None:
        precision = curves.seeds * curves.widths / curves.widths[0]
        noise = scatter_noise(curves, _left(curves, precision).min(axis=0))
    gap = curves.means[0] - curves.means[-1]
    variance = noise.variance + curves.seeds[0] * (INEXACT * gap) ** 2
    left = np.empty((len(SHIFTS) * len(EXPONENTS), len(variance)))
    for precision, steps in _by_precision(curves, noise):
        left[:, steps] = _left(curves, precision, steps) / variance[steps]
    dof, freedom = noise.dof, len(curves.widths) - 2
    likelihood = -0.5 * (dof + freedom) * np.log1p(left / dof)
    each = (likelihood * noise.share).T.reshape(-1, len(SHIFTS), len(EXPONENTS))
    weights = smooth(curves.time, each).reshape(len(curves.steps), -1)
    misfit = np.ones(len(curves.steps))
    if noise.from_seeds:
        mean = (weights.T * left).sum(axis=0)
        near = neighbors(curves.time, WINDOW) * noise.share
        misfit = (DOUBT + near @ mean) / (DOUBT + freedom * near.sum(axis=1))
    return Law(curves, noise, weights, variance * np.maximum(misfit, 1.0))


def _by_precision(
    curves: Curves, noise: Noise
) -> Iterator[tuple[Float[np.ndarray, " width"], Int[np.ndarray, " step"]]]:
    """One over the variances of means, in units of one network of the narrowest width, and the steps at which
    they are so."""
    for fall in np.unique(noise.fall):
        yield curves.seeds * (curves.widths / curves.widths[0]) ** fall, np.flatnonzero(noise.fall == fall)


def _design(curves: Curves) -> Float[np.ndarray, "exponent width"]:
    """N^-a, shifted and scaled to 1 at the narrowest and 0 at the widest."""
    x = _powers(curves, curves.widths)
    return (x - x[:, -1:]) / (x[:, :1] - x[:, -1:])


def _powers(curves: Curves, widths: Float[np.ndarray, " width"]) -> Float[np.ndarray, "exponent width"]:
    n = widths / curves.widths[0]
    return ((n + SHIFTS[:, None])[:, None, :] ** -EXPONENTS[None, :, None]).reshape(-1, len(widths))


def _left(
    curves: Curves, precision: Float[np.ndarray, " width"], steps: slice | Int[np.ndarray, " _"] = slice(None)
) -> Float[np.ndarray, "exponent _"]:
    """Weighted squares left by the law, for every exponent, in units of the narrowest's variance."""
    x = _design(curves)
    x = x - (x @ precision / precision.sum())[:, None]
    y = curves.means[:, steps] - precision @ curves.means[:, steps] / precision.sum()
    slope = (x * precision) @ y / ((x**2) @ precision)[:, None]
    left = y[None] - slope[:, None, :] * x[:, :, None]
    return np.einsum("awk,w->ak", left**2, precision)


def _coefficients(
    curves: Curves, precision: Float[np.ndarray, " width"], width: float
) -> Float[np.ndarray, "exponent width"]:
    """h such that h . means is the law's value at a width, for every exponent."""
    x = _powers(curves, curves.widths)
    there = _powers(curves, np.array([width]))[:, 0]
    span = x[:, 0] - x[:, -1]
    share = precision / precision.sum()
    center = x @ share
    x = (x - center[:, None]) / span[:, None]
    there = (there - center) / span
    return share[None, :] + there[:, None] * (x * precision) / ((x**2) @ precision)[:, None]
