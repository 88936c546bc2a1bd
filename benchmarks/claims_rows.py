"""What `claims.py` measures of each claim: numbers with 95 % intervals, and whether these obey a rule."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import xarray as xr
from scipy import stats

import widthwise as ww
from widthwise.analysis.ensembling import split_gap
from widthwise.analysis.exponents import fit_exponent
from widthwise.analysis.gaps import difference, gap_interval
from widthwise.analysis.seeds import bootstrap_counts
from widthwise.analysis.spectrum_exchange import swap_test
from widthwise.analysis.stability import share_at_the_edge
from widthwise.audit.claims.bias import Ensembles, measure_ensembles
from widthwise.audit.ensemble_view import EnsembleView

EARLY = 0.2  # the first fifth of training is early
# A loss is a square: 10 % of a function is 20 % of a kernel, which is a square of features.
LOSS, FUNCTION, KERNEL = (0.0, 0.05), (0.0, 0.1), (0.0, 0.2)
EDGE = (1.8, 2.2)
POSITIVE, NO_RULE = (0.0, math.inf), (-math.inf, math.inf)
Interval = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One measured number of one claim; `rule`, where it is if the claim holds."""

    claim: str
    what: str
    value: float
    interval: Interval
    rule: Interval = NO_RULE

    @property
    def verdict(self) -> str:
        """Nothing without a rule."""
        (low, high), (least, most) = self.interval, self.rule
        if self.rule == NO_RULE:
            return ""
        return "holds" if least <= low and high <= most else "fails" if high < least or low > most else "open"

    def to_json(self) -> dict[str, object]:
        """With its verdict; bounds that are infinite are null."""
        rule = [bound if math.isfinite(bound) else None for bound in self.rule]
        return {**asdict(self), "rule": rule, "verdict": self.verdict}


def rows_of(measured: EnsembleView) -> list[Row]:
    """The claims of one setting; distances are those of N = 64 from the widest: the third but last width."""
    every = list(range(1, len(measured.steps)))
    early = [i for i in every if measured.steps[i] <= EARLY * measured.steps[-1]]
    curves = [measured.read("loss", w)[..., -1] for w in range(len(measured.widths))]
    return [
        *_losses(measured, curves, (early, every)),
        *_functions(measured, (early, every)),
        *_variance(measured),
        *_spectra(measured, curves),
    ]


def _distance(
    measured: EnsembleView, claim: str, what: str, blocks: list[np.ndarray], rule: Interval, size: float = 0.0
) -> Row:
    """Root mean square gap of seed means, over `size` or else over the root mean square of the widest's."""
    widest = len(blocks) - 1
    products = measured.products(range(len(blocks)), iter([blocks]))
    size = size or math.sqrt(products.mean_size(widest))
    value, (low, high) = gap_interval(
        products, difference(widest + 1, widest - 2, widest), 0.05, np.random.default_rng(0)
    )
    return Row(claim, what, value / size, (low / size, high / size), rule)


def _losses(
    measured: EnsembleView, curves: list[np.ndarray], spans: tuple[list[int], list[int]]
) -> list[Row]:
    rows, initial, at = [], float(curves[-1][:, 0].mean()), spans[0][-1]
    for claim, when, steps in zip(("C1", "C3"), ("early", "all steps"), spans, strict=True):
        now = np.mean([curve[:, steps].mean(axis=0) for curve in curves], axis=0)
        for unit, size, rule in (("initial loss", initial, LOSS), ("loss now", now, NO_RULE)):
            blocks = [curve[:, steps] / size for curve in curves]
            rows.append(_distance(measured, claim, f"loss curves over the {unit}, {when}", blocks, rule, 1.0))
    third, ends = (curves[-3], curves[-1]), (curves[0], curves[-1])
    statistics = (
        (
            "C3",
            "excess loss of N = 64 over the widest's, at the end",
            third,
            lambda n, w: n[-1] / w[-1] - 1,
        ),
        (
            "C5",
            "growth since early of the excess loss of N = 16 over the widest's",
            ends,
            lambda n, w: (n / w)[-1] - (n / w)[at],
        ),
        (
            "C5",
            "growth since early of the gap of N = 16 over the initial loss",
            ends,
            lambda n, w: ((n - w)[-1] - (n - w)[at]) / initial,
        ),
    )
    rows += [Row(claim, what, *resampled(f, pair), POSITIVE) for claim, what, pair, f in statistics]
    gap = resampled(lambda n, w: (n - w)[-1] / initial, ends)
    return [*rows, Row("C5", "loss gap of N = 16 over the initial loss, at the end", *gap)]


def _functions(measured: EnsembleView, spans: tuple[list[int], list[int]]) -> list[Row]:
    widths, (early, every) = range(len(measured.widths)), spans
    layer = measured.records.sizes["layer"] - 1
    target = math.sqrt(float((measured.records["target"].to_numpy() ** 2).mean()))

    def changes(name: str, which: int | None) -> list[np.ndarray]:
        values = [measured.read(name, w, [0, *every], which) for w in widths]
        return [v[:, 1:] - v[:, :1] for v in values]

    rows = [
        _distance(
            measured,
            claim,
            f"predictions over targets, {when}",
            [measured.read("prediction", w, steps) for w in widths],
            FUNCTION,
            target,
        )
        for claim, when, steps in (("C2", "early", early), ("C3", "all steps", every))
    ]
    ends = [measured.read("tangent_kernel", w, [early[-1], every[-1]]) for w in (0, -1)]
    growth = resampled(lambda n, w: float(np.diff(_sizes(n - w) / _sizes(w))[0]), ends)
    rows.append(
        Row("C5", "growth since early of the distance of tangent kernels of N = 16", *growth, POSITIVE)
    )
    quantiles = [measured.read("preactivation_quantile", w, every, layer) for w in widths]
    for what, blocks, rule in (
        ("changes of feature kernels, last layer", changes("feature_kernel", layer), KERNEL),
        ("changes of tangent kernels", changes("tangent_kernel", None), KERNEL),
        ("quantiles of preactivations, last layer", quantiles, FUNCTION),
    ):
        rows.append(_distance(measured, "C4", what, blocks, rule))
    return rows


def _sizes(values: np.ndarray) -> np.ndarray:
    """Root mean squares at each step."""
    return np.sqrt((values**2).mean(axis=(-2, -1)))


def _variance(measured: EnsembleView) -> list[Row]:
    found = measure_ensembles(measured)
    if not isinstance(found, Ensembles):
        raise SystemExit(found.why)
    rows = []
    for index in (0, len(found.widths) - 3):
        gap = split_gap(found.widths, found.found, index, 0.05)
        what = f"share of variance in the gap of N = {found.widths[index]} to infinite width, at the end"
        rows.append(Row("C6", what, gap.share, gap.interval))
    return rows


def _spectra(measured: EnsembleView, curves: list[np.ndarray]) -> list[Row]:
    """At the end: eigenvalues, their shapes (over traces), and the swap test of N = 16 with the widest, also
    with the widest's when its loss was that of N = 16 at the end."""
    last, names = len(measured.steps) - 1, ("tangent_kernel_eigenvalue", "task_power")

    def read(width: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        values, powers = (measured.read(name, width, [step])[:, 0] for name in names)
        return values, powers

    def shape(pair: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        return pair[0] / pair[0].sum(axis=1, keepdims=True), pair[1]

    every = [read(w, last) for w in range(len(measured.widths))]
    shapes = [shape(pair) for pair in every]
    rows = [
        _distance(measured, "C8", "eigenvalues", [v for v, _ in every], KERNEL),
        _distance(measured, "C8", "eigenvalues over traces", [v for v, _ in shapes], KERNEL),
    ]
    swaps = [("", every[0], every[-1]), (", traces divided out", shapes[0], shapes[-1])]
    loss, wide = float(curves[0][:, -1].mean()), curves[-1].mean(axis=0)
    if loss > wide.min():
        step = int(np.abs(np.log(wide / loss)).argmin())
        swaps.append((", at equal loss", every[0], read(-1, step)))
        traces = [pair[0].sum(axis=1) for pair in (every[0], read(-1, step))]
        ratio = resampled(lambda n, w: n / w, traces)
        rows.append(Row("C8", "trace of N = 16 over the widest's, at equal loss", *ratio))
    ratio = resampled(lambda n, w: n / w, [every[w][0].sum(axis=1) for w in (0, -1)])
    rows.append(Row("C8", "trace of the tangent kernel of N = 16 over the widest's", *ratio))
    for what, narrow, widest in swaps:
        swap = swap_test(narrow, widest, 0.05, np.random.default_rng(0))
        name, rule = f"residual gap of N = 16{what}", NO_RULE if what else (-math.inf, 0.5)
        rows.append(Row("C8", f"share of eigenvalues in the {name}", swap.share, swap.interval, rule))
        rows.append(Row("C8", f"largest {name}", swap.largest, (swap.largest, swap.largest)))
    return rows


def resampled(statistic: Callable[..., float], groups: Sequence[np.ndarray]) -> tuple[float, Interval]:
    """A function of the seeds' means of each group, -+ Student's t times its bootstrap scatter over seeds."""
    rng = np.random.default_rng(0)
    value = float(statistic(*(group.mean(axis=0) for group in groups)))
    draws = [
        statistic(*(np.tensordot(bootstrap_counts(len(g), 1, rng)[0] / len(g), g, 1) for g in groups))
        for _ in range(400)
    ]
    fewest = min(map(len, groups))
    half = stats.t.isf(0.025, 2 * fewest - 2) * np.std(draws, ddof=1) * math.sqrt(fewest / (fewest - 1))
    return value, (float(value - half), float(value + half))


def audited_rows(found: ww.Audit) -> list[Row]:
    """Claims that rows of the audit answer."""
    rows = []
    for row in found.rows:
        if row.estimate is None or row.interval is None:
            continue
        if row.claim == "variance_scaling" and "step" in row.where:
            rows.append(Row("C6", "variance exponent, at the end", row.estimate, row.interval, (0.7, 1.3)))
        kind = str(row.where.get("kind"))
        if row.claim == "narrow_bias" and kind in ("weak", "strong"):
            what = f"{kind}: excess loss of infinitely many networks of N = 16 over one"
            if kind == "strong":
                what += f" against N = {row.where['against']}"
            else:
                what = what.replace("one", "as many of the widest, over one")
            rows.append(Row("C7", what, row.estimate, row.interval, POSITIVE))
    return rows


def rate_rows(small: xr.Dataset, large: xr.Dataset) -> list[Row]:
    """The sharpness at a small rate and, in the second half of training, at a large one; its edge is 2."""
    widths = [int(w) for w in small["width"].to_numpy()]
    curves = [small["sharpness"].sel(width=w, step=50).to_numpy() for w in widths]
    slope = fit_exponent(widths, [np.log(curve) for curve in curves]).overall
    what = "exponent of the sharpness at step 50, small rate"
    rows = [Row("C4", what, slope.value, slope.interval(), (-0.2, 0.2))]
    for width in widths:
        curve = large["sharpness"].sel(width=width).transpose("seed", "step").to_numpy()
        late = curve[:, curve.shape[1] // 2 :]
        near = share_at_the_edge(late, 2.0)[:, None]
        rows.append(Row("C4", f"late sharpness, large rate, N = {width}", *resampled(np.mean, [late]), EDGE))
        rows.append(Row("C4", f"late steps within 0.2 of 2, N = {width}", *resampled(np.mean, [near])))
    return rows
