r"""Gaps between the mean functions of different widths: unbiased, tested, and with their exponents.

Everything follows from the inner products of all networks' functions, pooled over steps, points and outputs:
small, however many elements there are, and elements may be as correlated as they like.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from widthwise.analysis.seeds import bootstrap_counts, centered_products

RESAMPLES = 400


@dataclass(frozen=True)
class Products:
    """Inner products G_ij = mean over elements of f_i f_j of all networks i, j that count.

    **Fields:** `owner`, the width of each network, as an index into the ascending `widths`, every one of
    which has at least one network.
    """

    widths: tuple[int, ...]
    owner: Int[np.ndarray, " network"]
    gram: Float[np.ndarray, "network network"]

    def own(self, width: int) -> Float[np.ndarray, "seed seed"]:
        """The block of one width."""
        mine = self.owner == width
        return self.gram[np.ix_(mine, mine)]

    def seeds(self, width: int) -> int:
        """Networks of one width."""
        return int((self.owner == width).sum())

    def variance(self, width: int) -> float:
        r"""$V_N = \frac{1}{E-1} \sum_e \langle |f_e - \bar f|^2 \rangle$; NaN with one seed."""
        count = self.seeds(width)
        return float(np.trace(centered_products(self.own(width)))) / (count - 1) if count > 1 else math.nan

    def floor(self, width: int) -> float:
        """V_N / E, the noise of the seeds' mean."""
        return self.variance(width) / self.seeds(width)

    def mean_size(self, width: int) -> float:
        """Mean square of the seeds' mean."""
        return float(self.own(width).mean())

    def observed(self, a: int, b: int) -> float:
        """Mean square of the difference of two widths' seed means, noise included."""
        cross = self.gram[np.ix_(self.owner == a, self.owner == b)].mean()
        return max(0.0, self.mean_size(a) + self.mean_size(b) - 2 * float(cross))

    def unbiased(self, a: int, b: int) -> float:
        r"""$D^2(N, M) = \langle |\bar f_N - \bar f_M|^2 \rangle - V_N/E_N - V_M/E_M$; below 0: below noise."""
        return self.observed(a, b) - self.floor(a) - self.floor(b)

    def rank(self) -> float:
        r"""Effective number of independent elements of the noise, $(\mathrm{tr} S)^2 / \mathrm{tr} S^2$.

        Pooled over widths, each scaled to trace 1; biased low with few seeds, which makes tests cautious.
        """
        total, dof = 0.0, 0.0
        for width in range(len(self.widths)):
            centered = centered_products(self.own(width))
            trace = float(np.trace(centered))
            if trace > 0:
                total += (self.seeds(width) - 1) * float((centered**2).sum()) / trace**2
                dof += self.seeds(width) - 1
        return max(1.0, dof / total) if total > 0 else 1.0


@dataclass(frozen=True)
class GapTest:
    r"""The null that gaps between successive widths shrink.

    For successive pairs of widths, the narrow one (N_1, N_2) and the wide one (N_{W-1}, N_W), true root mean
    square gaps d: $d_{wide} \le \kappa\, d_{narrow} + a$, a = `allowed`.

    **Fields:** `wide`, `narrow`, observed gaps with their noise; `noise`, the scale s of what chance adds to
    their combination; `rank`, `dof`, of its F-distribution.
    """

    wide: float
    narrow: float
    kappa: float
    allowed: float
    noise: float
    rank: float
    dof: float
    seeds: int

    @property
    def p_value(self) -> float:
        r"""At most its level for any gaps: with noise e, by the triangle inequality,

        $X = \hat d_{wide} - \kappa \hat d_{narrow} - a \le |e_{wide}| + \kappa |e_{narrow}|$, whose square is
        at most $s^2 F(r, r \nu)$ in distribution, s^2 = (1 + kappa) (<e_wide^2> + kappa <e_narrow^2>).
        """
        beyond = self.wide - self.kappa * self.narrow - self.allowed
        if not math.isfinite(self.noise) or beyond <= 0:
            return 1.0
        if self.noise == 0:
            return 0.0
        return float(stats.f.sf((beyond / self.noise) ** 2, self.rank, self.rank * self.dof))

    def smallest(self, level: float, more: int = 0) -> float:
        """The smallest gap between the two widest widths that is seen with probability 0.8 or more."""
        if not math.isfinite(self.noise):
            return math.inf
        growth = (self.seeds + more) / self.seeds
        critical = math.sqrt(float(stats.f.isf(level, self.rank, self.rank * self.dof * growth))) + 1.0
        return self.kappa * self.narrow + self.allowed + critical * self.noise / math.sqrt(growth)


def test_of_gaps(products: Products, *, least: float, allowed: float) -> GapTest | None:
    """Whether gaps shrink at least as N^-`least`; None with fewer than three widths.

    **Arguments:** `allowed`, a root mean square gap between the two widest that is always forgiven.
    """
    count = len(products.widths)
    if count < 3:
        return None
    widths = products.widths
    kappa = (widths[0] / widths[count - 2]) ** least
    kappa *= (1 - widths[-2] / widths[-1]) / (
        1 - widths[0] / widths[1]
    )  # pairs need not be equally far apart
    kappa = min(kappa, 4.0)
    wide, narrow = (count - 2, count - 1), (0, 1)
    parts = [(w, 1.0) for w in wide] + [(w, kappa) for w in narrow]
    terms = [(1 + kappa) * weight * products.floor(w) for w, weight in parts]
    total = sum(terms)
    fewest = min(products.seeds(w) for w, _ in parts)
    if not math.isfinite(total):
        dof, total = 1.0, math.inf
    elif total > 0:
        dof = total**2 / sum(t**2 / (products.seeds(w) - 1) for t, (w, _) in zip(terms, parts, strict=True))
    else:
        dof = float(fewest - 1)
    return GapTest(
        wide=math.sqrt(products.observed(*wide)),
        narrow=math.sqrt(products.observed(*narrow)),
        kappa=kappa,
        allowed=allowed,
        noise=math.sqrt(total),
        rank=products.rank(),
        dof=max(1.0, dof),
        seeds=max(1, fewest),
    )


def gap_exponent(
    products: Products, alpha: float, rng: np.random.Generator
) -> tuple[float, tuple[float, float]] | None:
    """a of successive gaps d ~ N^-a, and its bootstrap interval over seeds; None where noise covers a gap.

    From unbiased squared distances of successive widths, by a straight line through their logarithms
    against that of the narrower width; only as good as the widths are equally far apart.
    """
    count = len(products.widths)
    if count < 3 or min(products.seeds(w) for w in range(count)) < 2:
        return None
    pairs = [(w, w + 1) for w in range(count - 1)]
    x = np.log([products.widths[a] for a, _ in pairs])
    slope = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
    squared = np.array([products.unbiased(a, b) for a, b in pairs])
    noise = np.array([products.floor(a) + products.floor(b) for a, b in pairs])
    if (squared <= 2 * noise).any() or (squared <= 0).any():
        return None
    value = -0.5 * float(slope @ np.log(squared))
    draws = np.array([_resampled(products, pairs, rng) for _ in range(RESAMPLES)])
    logs = -0.5 * np.log(np.maximum(draws, 0.01 * squared)) @ slope
    low, high = np.quantile(logs - logs.mean() + value, [alpha / 2, 1 - alpha / 2])
    return value, (float(low), float(high))


def _resampled(
    products: Products, pairs: list[tuple[int, int]], rng: np.random.Generator
) -> Float[np.ndarray, " pair"]:
    """Unbiased squared distances of one resample of all widths' seeds, copies of a seed not paired."""
    count = len(products.widths)
    weights = np.zeros((count, len(products.owner)))
    own = np.zeros(count)
    for width in range(count):
        mine = np.flatnonzero(products.owner == width)
        drawn = bootstrap_counts(len(mine), 1, rng)[0]
        weights[width, mine] = drawn / len(mine)
        block = products.own(width)
        pairs_sum = drawn @ block @ drawn - drawn**2 @ np.diagonal(block)
        own[width] = pairs_sum / (len(mine) - 1) ** 2
    cross = weights @ products.gram @ weights.T
    return np.array([own[a] + own[b] - 2 * cross[a, b] for a, b in pairs])
