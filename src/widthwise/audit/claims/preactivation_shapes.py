"""Shapes of preactivations' distributions at each width: Wasserstein distances, skewness, kurtosis."""

import numpy as np
from jaxtyping import Float

from widthwise.analysis.distributions import raw_moments, shape_of, wasserstein
from widthwise.analysis.seeds import bootstrap_counts, recentered_interval
from widthwise.analysis.verdict import Test
from widthwise.audit.claims.function_gaps import comparable
from widthwise.audit.ensemble_view import EnsembleView

CLAIM = "preactivations"
NAME = "preactivation_quantile"
MOST_POINTS, SPLITS, RESAMPLES = 8, 16, 200
SHAPES = {
    "standard deviation": "relative to the widest",
    "skewness": "skewness",
    "excess kurtosis": "excess kurtosis",
}


def descriptions(measured: EnsembleView) -> list[Test]:
    """At the last step and for each layer, of single points with the neurons of all seeds pooled, mean over
    points: the Wasserstein-1 distance between each width and the widest, in units of the widest's standard
    deviation, beside what the noise of the seeds makes; and of the narrowest beside the widest the standard
    deviation, skewness and excess kurtosis, of which a Gaussian has none."""
    levels = _levels(measured)
    if levels is None:
        return []
    widths, steps = comparable(measured, measured.some_steps(measured.settings.most_steps, NAME))
    if len(widths) < 2:
        return []
    found = []
    for layer, name in enumerate(measured.names("layer", "layer_name")):
        curves = [_curves(measured, w, steps[-1], layer) for w in widths]
        if not all(c.size and len(c) > 1 for c in curves):
            continue
        where = {"layer": name, "step": int(measured.steps[steps[-1]])}
        found += _distances(measured, widths, levels, curves, where)
        found += _shapes(measured, widths, levels, curves, where)
    return found


def noise_floor(
    levels: Float[np.ndarray, " level"],
    narrow: Float[np.ndarray, "seed point level"],
    wide: Float[np.ndarray, "other point level"],
    rng: np.random.Generator,
) -> float:
    r"""Wasserstein-1 distance that equal distributions show, from random halves of each width's seeds.

    Two halves of E seeds differ by noise of twice the deviation of all E: together the noises of both widths
    are half the root of the sum of both halves' squared distances.
    """
    squares = 0.0
    for group in (narrow, wide):
        halves = []
        for _ in range(SPLITS):
            order = rng.permutation(len(group))
            middle = len(group) // 2
            halves.append(mean_distance(levels, group[order[:middle]], group[order[middle : 2 * middle]]))
        # Of an odd number of seeds one is left out of the halves, whose noise is larger by as much.
        squares += float(np.mean(halves)) ** 2 * (2 * (len(group) // 2) / len(group))
    return squares**0.5 / 2


def mean_distance(
    levels: Float[np.ndarray, " level"],
    first: Float[np.ndarray, "seed point level"],
    second: Float[np.ndarray, "other point level"],
) -> float:
    """Wasserstein-1 distance of the pooled distributions at each point, mean over points."""
    points = range(first.shape[1])
    return float(np.mean([wasserstein(levels, first[:, p], second[:, p]) for p in points]))


def _distances(
    measured: EnsembleView, widths: list[int], levels: np.ndarray, curves: list[np.ndarray], where: dict
) -> list[Test]:
    rng = np.random.default_rng(measured.settings.seed)
    unit = float(_over_points(shape_of(raw_moments(levels, curves[-1]).mean(axis=1)))[0])
    if not unit > 0:
        return []
    found = []
    for width, own in zip(widths[:-1], curves[:-1], strict=True):
        value = mean_distance(levels, own, curves[-1]) / unit
        floor = noise_floor(levels, own, curves[-1], rng) / unit
        n, last = measured.widths[width], measured.widths[widths[-1]]
        found.append(
            Test(
                claim=CLAIM,
                where=where
                | {"quantity": "Wasserstein-1", "width": n, "against": last, "unit": "standard deviations"},
                estimate=value,
                expected=floor,
                advice_good=f"Preactivations of `{where['layer']}` at N = {n} and {last} are {value:.2g} "
                f"standard deviations apart (Wasserstein-1); noise of the seeds makes {floor:.2g}.",
            )
        )
    return found


def _shapes(
    measured: EnsembleView, widths: list[int], levels: np.ndarray, curves: list[np.ndarray], where: dict
) -> list[Test]:
    rng = np.random.default_rng(measured.settings.seed)
    ends = [raw_moments(levels, curves[at]) for at in (0, -1)]  # (4, seed, point)
    values = [_over_points(shape_of(moments.mean(axis=1))) for moments in ends]
    draws = [_resampled(moments, rng) for moments in ends]
    n, last = measured.widths[widths[0]], measured.widths[widths[-1]]
    found = []
    for index, (name, unit) in enumerate(SHAPES.items()):
        scale = values[1][index] if index == 0 else 1.0
        value, expected = (float(v[index] / scale) for v in values)
        if not (np.isfinite(value) and np.isfinite(expected)):
            continue
        shifted = draws[0][:, index] / scale
        shifted = shifted[np.isfinite(shifted)]
        if not len(shifted):
            continue
        found.append(
            Test(
                claim=CLAIM,
                where=where | {"quantity": name, "width": n, "against": last, "unit": unit},
                estimate=value,
                interval=recentered_interval(shifted, value, measured.alpha),
                expected=expected,
                advice_good=f"Preactivations of `{where['layer']}` have the {name} "
                f"{float(values[0][index]):.3g} at N = {n} and {float(values[1][index]):.3g} at N = {last}.",
            )
        )
    return found


def _resampled(moments: Float[np.ndarray, "4 seed point"], rng: np.random.Generator) -> np.ndarray:
    """Shapes (draw, 3) of resamples of the seeds."""
    seeds = moments.shape[1]
    counts = bootstrap_counts(seeds, RESAMPLES, rng) / seeds
    pooled = np.einsum("ds,ksp->kdp", counts, moments)
    return _over_points(shape_of(pooled)).T


def _over_points(shapes: Float[np.ndarray, "3 *draw point"]) -> Float[np.ndarray, "3 *draw"]:
    """Mean over the points that have a spread; NaN where none has."""
    known = np.isfinite(shapes)
    with np.errstate(all="ignore"):
        return np.where(known, shapes, 0.0).sum(axis=-1) / known.sum(axis=-1)


def _levels(measured: EnsembleView) -> Float[np.ndarray, " level"] | None:
    """Levels of the recorded quantiles, strictly between 0 and 1; None where they are not known."""
    records = measured.records
    if not measured.has(NAME, "step", "layer", "point", "quantile") or "quantile" not in records.coords:
        return None
    levels = records["quantile"].to_numpy()
    if levels.dtype.kind != "f" or len(levels) < 5 or not (np.diff(levels) > 0).all():
        return None
    return levels.astype(float) if levels[0] > 0 and levels[-1] < 1 else None


def _curves(measured: EnsembleView, width: int, step: int, layer: int) -> Float[np.ndarray, "_ point level"]:
    """Quantiles of some points of the networks that count and are finite."""
    dims = [str(d) for d in measured.records[NAME].dims if d in ("point", "quantile")]
    values = measured.read(NAME, width, [step], layer)[measured.usable(step)[width]][:, 0]
    values = np.moveaxis(values, dims.index("quantile") + 1, 2)
    count = values.shape[1]
    values = values[:, np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int))]
    return values[np.isfinite(values).all(axis=(1, 2))]
