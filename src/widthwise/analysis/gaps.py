r"""Gaps between the mean functions of different widths: unbiased, tested, and with their exponents.

Everything follows from the inner products of all networks' functions, pooled over steps, points and outputs:
small, however many elements there are, and elements may be as correlated as they like.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int
from scipy import stats

from widthwise.analysis.exponents import slope_coefficients
from widthwise.analysis.families import complete
from widthwise.analysis.seeds import (
    bootstrap_counts,
    bootstrap_squared_distances,
    centered_products,
    recentered_interval,
)

RESAMPLES = 400
POWER = 0.85  # standard errors that turn a critical value into an effect seen with probability 0.8
RANK_ERROR = 0.3  # of the share 1/r, times the root of the degrees of freedom: seen in simulations


@dataclass(frozen=True)
class Products:
    """Inner products G_ij = mean over elements of f_i f_j of all networks i, j that count.

    **Fields:** `owner`, the width of each network, as an index into the ascending `widths`, every one of
    which has at least one network; `family` of each, where networks share initial weights across widths: two
    or more families with networks at every width.
    """

    widths: tuple[int, ...]
    owner: Int[np.ndarray, " network"]
    gram: Float[np.ndarray, "network network"]
    family: Int[np.ndarray, " network"] | None = None

    def centered(self) -> "Products":
        """The same of functions less the mean of all networks, on which no gap depends."""
        return replace(self, gram=centered_products(self.gram))

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
        if count < 2:
            return math.nan
        return max(0.0, float(np.trace(centered_products(self.own(width))))) / (count - 1)

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
        r"""$D^2 = \langle |\bar f_N - \bar f_M|^2 \rangle$ less its noise, of independent networks
        $V_N/E_N + V_M/E_M$; negative below noise."""
        return self.observed(a, b) - self.noise(difference(len(self.widths), a, b))

    def noise(self, coefficients: Sequence[float]) -> float:
        r"""Mean square noise of $\sum c_N \bar f_N$: $\sum c_N^2 V_N / E_N$, or from families' scatter."""
        if self.family is None:
            return sum(c**2 * self.floor(w) for w, c in enumerate(coefficients) if c)
        rows = centered_products(self.of_families(coefficients))
        return max(0.0, float(np.trace(rows))) / (len(rows) * (len(rows) - 1))

    def of_families(self, coefficients: Sequence[float]) -> Float[np.ndarray, "family family"]:
        r"""Inner products of $\sum c_N \bar f_N$, the means of each family, of those that have all widths."""
        assert self.family is not None
        common = complete([self.family[self.owner == w] for w in range(len(self.widths))])
        shares = (self.family == common[:, None]).astype(float)
        for width, c in enumerate(coefficients):
            mine = self.owner == width
            shares[:, mine] *= c / shares[:, mine].sum(axis=1, keepdims=True)
        return shares @ self.gram @ shares.T

    def units(self, *widths: int) -> list[int]:
        """How many independent rows there are at each of these widths: networks, or families."""
        if self.family is None:
            return [self.seeds(width) for width in widths]
        return [len(self.of_families([0.0] * len(self.widths)))] * len(widths)

    def squared(self, coefficients: Sequence[float]) -> float:
        r"""Unbiased mean square of $\sum_N c_N \bar f_N$, a coefficient for each width."""
        weights = np.array([coefficients[w] / self.seeds(w) for w in self.owner.tolist()])
        return float(weights @ self.gram @ weights) - self.noise(coefficients)

    def rank(self) -> float:
        r"""Effective number of independent elements of the noise, $(\mathrm{tr} S)^2 / \mathrm{tr} S^2$.

        From unbiased estimates, for Gaussian elements, of both traces at each width of nu + 1 seeds,
        $\mathrm{tr} S^2 \approx \frac{\nu^2}{(\nu-1)(\nu+2)} (\mathrm{tr} \hat S^2 - (\mathrm{tr} \hat
        S)^2 / \nu)$, each width scaled to trace 1, summed with weights nu; then lowered by its own error. Of
        families it is the noise of the difference between the two widest.
        """
        below, dof, count = 0.0, 0, len(self.widths)
        if self.family is None or count < 2:
            blocks = [self.own(width) for width in range(count)]
        else:
            blocks = [self.of_families(difference(count, count - 2, count - 1))]
        for block in blocks:
            centered = centered_products(block)
            trace, nu = float(np.trace(centered)), len(block) - 1
            if trace > 0 and nu > 1:
                share = float((centered**2).sum()) / trace**2
                below += nu * nu**2 / ((nu - 1) * (nu + 2)) * (share - 1 / nu)
                dof += nu
        if not dof:
            return 1.0
        share = below / dof + RANK_ERROR / math.sqrt(dof)
        return max(1.0, 1 / max(share, 1 / dof))


@dataclass(frozen=True)
class GapTest:
    r"""The null that gaps between successive widths shrink.

    For successive pairs of widths, the narrow one (N_1, N_2) and the wide one (N_{W-1}, N_W), true root mean
    square gaps d: $d_{wide} \le \kappa\, d_{narrow} + a$, a = `allowed`.

    **Fields:** `wide`, `narrow`, observed gaps with their noise; `wide_noise`, `narrow_noise`, scales s of
    what chance adds to the one and, times kappa, takes from the other; `rank`, `dof`, of the F-distribution.
    """

    wide: float
    narrow: float
    kappa: float
    allowed: float
    wide_noise: float
    narrow_noise: float
    rank: float
    dof: float
    seeds: int

    @property
    def noise(self) -> float:
        """Scale of what chance adds to d_wide - kappa d_narrow."""
        return self.wide_noise + self.narrow_noise

    @property
    def p_value(self) -> float:
        r"""At most its level for any gaps.

        With noise e of the means, $X = \hat d_{wide} - \kappa \hat d_{narrow} - a \le |e_{wide}| + \kappa
        |u \cdot e_{narrow}|$, u the direction of the narrow gap: a mean's noise can lengthen a gap by all of
        itself but shorten it only along it, where its variance is at most that of all over $\sqrt r$. By
        Cauchy and Schwarz the square of the sum is at most $(s_w + s_n)^2 F(r', r' \nu)$ in distribution.
        """
        beyond = self.wide - self.kappa * self.narrow - self.allowed
        if not math.isfinite(self.noise) or beyond <= 0:
            return 1.0
        if self.noise == 0:
            return 0.0
        return float(stats.f.sf((beyond / self.noise) ** 2, self.rank, self.rank * self.dof))

    def smallest(self, level: float, more: int = 0, finer: float = 1.0) -> float:
        """The smallest gap between the two widest widths that is seen with probability 0.8 or more."""
        if not math.isfinite(self.noise):
            return math.inf
        growth = (self.seeds + more) / self.seeds
        critical = math.sqrt(float(stats.f.isf(level, self.rank, self.rank * self.dof * growth)))
        noise = critical * self.noise + POWER * self.wide_noise / self.rank**0.25
        return self.kappa * self.narrow + self.allowed + noise / math.sqrt(growth)


def converging_gaps(products: Products, *, least: float, allowed: float) -> GapTest | None:
    """Whether gaps shrink at least as N^-`least`; None with fewer than three widths.

    **Arguments:** `allowed`, a root mean square gap between the two widest that is always forgiven.
    """
    count, widths = len(products.widths), products.widths
    if count < 3:
        return None
    # Pairs need not be equally far apart: a gap c/N is c/N_1 - c/N_2.
    kappa = (1 - widths[-2] / widths[-1]) / (1 - widths[0] / widths[1])
    kappa = min(kappa * (widths[0] / widths[-2]) ** least, 4.0)
    wide, narrow = (count - 2, count - 1), (0, 1)
    rank, fewest = products.rank(), min(products.units(*wide, *narrow))
    floors = [products.noise(difference(count, *pair)) for pair in (wide, narrow)]
    known = all(math.isfinite(floor) for floor in floors)
    a, b = math.sqrt(floors[0]), kappa * math.sqrt(floors[1]) / rank**0.25 if known else math.inf
    if not known or a + b == 0:
        together, dof = 1.0, 1.0  # without noise, or with an unknown one, of no consequence
    elif products.family is not None:
        together, dof = max(1.0, (a + b) ** 2 / (a**2 / rank + b**2)), float(fewest - 1)
    else:
        together = max(1.0, (a + b) ** 2 / (a**2 / rank + b**2))
        # Welch and Satterthwaite: each width's share of the noise, over its degrees of freedom.
        shares = [
            (size * products.floor(w) / floor, products.seeds(w) - 1)
            for pair, size, floor in ((wide, a, floors[0]), (narrow, b, floors[1]))
            for w in pair
            if floor > 0
        ]
        dof = (a + b) ** 2 / sum(share**2 / nu for share, nu in shares)
    return GapTest(
        wide=math.sqrt(products.observed(*wide)),
        narrow=math.sqrt(products.observed(*narrow)),
        kappa=kappa,
        allowed=allowed,
        wide_noise=a,
        narrow_noise=b,
        rank=together,
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
    slope = slope_coefficients(x)
    squared = np.array([products.unbiased(a, b) for a, b in pairs])
    noise = np.array([products.noise(difference(count, *pair)) for pair in pairs])
    if (squared <= 2 * noise).any() or (squared <= 0).any():
        return None
    value = -0.5 * float(slope @ np.log(squared))
    draws = _resampled(products, [difference(count, *pair) for pair in pairs], rng)
    logs = -0.5 * np.log(np.maximum(draws, 0.01 * squared)) @ slope
    return value, recentered_interval(logs, value, alpha)


def _resampled(
    products: Products, combinations: Sequence[Sequence[float]], rng: np.random.Generator
) -> Float[np.ndarray, "draw combination"]:
    """Unbiased mean squares of resamples of combinations of the widths' means, whose coefficients sum to 0.

    Copies of a seed are not paired: only in each width's deviations from its mean, since the number of
    distinct pairs happens to vary, and would let resamples scatter with the functions' own size. Of families
    these are resampled, all widths of one together.
    """
    if products.family is not None:
        counts, columns = None, []
        for each in combinations:
            rows = products.centered().of_families(each)
            counts = bootstrap_counts(len(rows), RESAMPLES, rng) if counts is None else counts
            columns.append(_unpaired(rows, counts))
        return np.stack(columns, axis=1)
    gram, weights = products.centered().gram, np.zeros((RESAMPLES, len(products.owner)))
    unpaired = []
    for width in range(len(products.widths)):
        seeds, centered = products.seeds(width), centered_products(products.own(width))
        counts = bootstrap_counts(seeds, RESAMPLES, rng)
        weights[:, products.owner == width] = counts / seeds
        paired = ((counts @ centered) * counts).sum(axis=1) / seeds**2
        unpaired.append(bootstrap_squared_distances(centered, counts)[1] - paired)
    columns = []
    for each in combinations:
        coefficients = np.array(each)
        mean = weights * coefficients[products.owner]
        columns.append(((mean @ gram) * mean).sum(axis=1) + coefficients**2 @ np.array(unpaired))
    return np.stack(columns, axis=1)


def _unpaired(
    rows: Float[np.ndarray, "row row"], counts: Float[np.ndarray, "draw row"]
) -> Float[np.ndarray, " draw"]:
    """Resamples of the unbiased mean square of the mean of rows, copies unpaired in deviations alone."""
    centered, weights = centered_products(rows), counts / len(rows)
    all_pairs = ((weights @ (rows - centered)) * weights).sum(axis=1)
    return all_pairs + bootstrap_squared_distances(centered, counts)[1]


def difference(widths: int, a: int, b: int) -> list[float]:
    """Coefficients of the gap between two of `widths` positions.

    >>> difference(3, 0, 2)
    [1.0, 0.0, -1.0]
    """
    return [float(w == a) - float(w == b) for w in range(widths)]


def gap_interval(
    products: Products, coefficients: Sequence[float], alpha: float, rng: np.random.Generator
) -> tuple[float, tuple[float, float]]:
    """Root mean square of a combination of the widths' mean functions, and its interval at 1 - `alpha`.

    The unbiased mean square, zero where noise covers it, -+ Student's t times the scatter of its bootstrap
    resamples over seeds. Where the true gap is zero resamples scatter too far, since they are centered on a
    gap that is all noise: the interval then errs to the wide side.

    **Arguments:** `coefficients` of each width, summing to zero, such as `difference`; widths whose
    coefficient is not zero have two or more networks each.
    """
    draws = _resampled(products, [coefficients], rng)[:, 0]
    units = products.units(*(w for w, c in enumerate(coefficients) if c))
    dof, fewest = sum(units) - len(units), min(units)
    dof = dof if products.family is None else fewest - 1
    half = float(stats.t.isf(alpha / 2, dof)) * float(draws.std(ddof=1)) * math.sqrt(fewest / (fewest - 1))
    value = products.squared(coefficients)
    low, root, high = (math.sqrt(max(0.0, value + shift)) for shift in (-half, 0.0, half))
    return root, (low, high)
