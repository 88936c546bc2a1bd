"""One part over all widths: variance ratios, shift ratios, distances to infinite width, and their limits."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from widthwise.analysis.estimate import Estimate
from widthwise.analysis.families import (
    Labels,
    complete,
    family_counts,
    family_means,
    fitted_constant,
    sum_error,
)
from widthwise.analysis.fits import PowerLaw, combine, fit_power_law, limit_coefficients
from widthwise.analysis.measure import Measurement
from widthwise.analysis.part_theory import PartTheory
from widthwise.analysis.seeds import (
    FEWEST_SEEDS_FOR_A_VARIANCE_ERROR,
    bootstrap_counts,
    bootstrap_squared_distances,
    centered_products,
    mean_squared_distance,
    pooled_variance,
    pooled_variance_relative_error,
    single_squared_distance,
)
from widthwise.analysis.step_weights import step_weights

# The ensemble mean's distance counts as resolved beyond this many standard deviations of its noise.
RESOLVED_Z = 3.0
BOOTSTRAP_DRAWS = 1000
LEAST_RATIO = 0.1  # of a variance to theory's, below which its relative error is not that of a ratio of 1

Cells = dict[int, Measurement]


@dataclass(frozen=True)
class Distances:
    """Root mean square over elements of the distance to infinite width, at each width.

    `mean_resolved` says where the ensemble mean's distance exceeds its own noise and theory's error.
    """

    single: dict[int, float]
    mean: dict[int, float]
    mean_z: dict[int, float]
    mean_resolved: dict[int, bool]
    single_law: PowerLaw | None
    mean_law: PowerLaw | None


def variance_ratios(cells: Cells, theory: PartTheory) -> dict[int, Estimate]:
    r"""N times the variance over theory's, both summed over steps and elements, at each width.

    $\sum_e N s_e^2 / \sum_e V_e$. Theory's error is the sum of its elements', as if fully correlated. Empty
    where theory predicts no variance above rounding; widths with one seed are left out.
    """
    if theory.variance is None:
        return {}
    total = float(theory.variance.sum())
    error = 0.0 if theory.variance_error is None else float(theory.variance_error.sum())
    ratios: dict[int, Estimate] = {}
    for width, cell in cells.items():
        if cell.seeds < 2 or total <= width * theory.rounding**2 * theory.variance.size:
            continue
        ratio = width * float(pooled_variance(cell.products)) / total
        relative = math.hypot(float(pooled_variance_relative_error(cell.products)), error / total)
        ratios[width] = Estimate(value=ratio, error=ratio * relative, dof=cell.seeds - 1.0)
    common = _relative_variance_of_one(ratios)
    return {
        width: Estimate(r.value, max(r.error, r.value * math.sqrt(common / r.dof)), r.dof)
        for width, r in ratios.items()
    }


def _relative_variance_of_one(ratios: dict[int, Estimate]) -> float:
    """Squared relative error times degrees of freedom, mean over widths, on which it hardly depends.

    By chance a variance and its own estimated error are small together; the common value does not follow.
    """
    known = [
        (r.error / r.value) ** 2 * r.dof for r in ratios.values() if r.value > 0 and math.isfinite(r.error)
    ]
    return float(np.mean(known)) if known else 0.0


def limiting_variance_ratio(ratios: dict[int, Estimate], theory: PartTheory, cells: Cells) -> Estimate | None:
    r"""The ratio as N -> infinity: the intercept of $r_N = r_\infty + c/N$, so that the next order does not
    count.

    The error is at least that of a ratio of 1: a low ratio must not claim a small one. Its degrees of freedom
    are those of the width with the fewest seeds, since heavy tails leave the error itself uncertain. Of
    families the error is that of their shares in all widths together.
    """
    able = {w: r for w, r in ratios.items() if r.dof >= FEWEST_SEEDS_FOR_A_VARIANCE_ERROR - 1 and r.value > 0}
    if not able:
        return None
    dof = np.array([r.dof for r in able.values()])
    per_seed = _relative_variance_of_one(able)
    coefficients = limit_coefficients(np.array(list(able), dtype=float), dof)
    value = float(coefficients @ np.array([r.value for r in able.values()]))
    size = np.maximum([r.value for r in able.values()], 1.0)
    error = math.sqrt(float(((coefficients * size) ** 2 * per_seed / dof).sum()))
    fewest = float(dof.min())
    if (families := _families(cells, list(able))) is not None:
        assert theory.variance is not None
        total, parts = float(theory.variance.sum()), []
        for width, b in zip(able, coefficients, strict=True):
            own = np.diagonal(centered_products(cells[width].products))
            parts.append(b * width / total * own / (cells[width].seeds - 1))
        error, count = sum_error(parts, families)
        if count < FEWEST_SEEDS_FOR_A_VARIANCE_ERROR:
            return None
        error, fewest = error / min(1.0, max(value, LEAST_RATIO)), count - 1.0
    numerical = 0.0
    if theory.variance is not None and theory.variance_error is not None:
        numerical = float(theory.variance_error.sum() / theory.variance.sum())
    return Estimate(value, math.hypot(error, numerical), fewest, numerical)


def _families(cells: Cells, widths: list[int]) -> list[Labels] | None:
    """Labels of the networks at each of these widths; None where each network is by itself."""
    found = [labels for width in widths if (labels := cells[width].family) is not None]
    return found or None


def shift_ratios(cells: Cells, theory: PartTheory) -> dict[int, Estimate]:
    """N (mean - infinite width) over theory's shift, by the matched filter, at each width with two seeds or
    more."""
    weights = theory.matched_filter()
    ratios: dict[int, Estimate] = {}
    if weights is None:
        return ratios
    for width, cell in cells.items():
        if cell.seeds < 2 or cell.projection is None:
            continue
        projection = cell.projection.sum(axis=1)
        noise = float(projection.std(ddof=1)) / math.sqrt(cell.seeds)
        numerical = width * float((np.abs(weights) * theory.mean_error(width)).sum())
        value = float(projection.mean())
        ratios[width] = Estimate(value, math.hypot(noise, numerical), cell.seeds - 1.0, numerical)
    return ratios


def limiting_shift_ratio(ratios: dict[int, Estimate], theory: PartTheory, cells: Cells) -> Estimate | None:
    """The ratio as N -> infinity, the intercept of a_N = a + c/N; noise grows as sqrt(N), so narrow widths
    lead. Of families, from the differences between their widths, `fitted_constant`, at the steps at which
    these differences tell most, `step_weights`."""
    if not ratios:
        return None
    widths = np.array(list(ratios), dtype=float)
    weights = np.array([r.dof + 1.0 for r in ratios.values()]) / widths
    families = _families(cells, list(ratios))
    if families is not None:
        return _shift_of_families(widths, weights, families, theory, cells)
    return combine(limit_coefficients(widths, weights), list(ratios.values()))


def _shift_of_families(
    widths: Float[np.ndarray, " width"],
    weights: Float[np.ndarray, " width"],
    families: list[Labels],
    theory: PartTheory,
    cells: Cells,
) -> Estimate | None:
    common, columns = complete(families), []
    if len(common) < 2:
        return None
    for width, labels in zip(widths, families, strict=True):
        projection = cells[int(width)].projection
        assert projection is not None
        values, found = family_means(projection, labels)
        columns.append(values[np.isin(found, common)])
    by_step, filtered = np.stack(columns, axis=-1), theory.matched_filter()
    assert filtered is not None and theory.shift is not None
    of_shift = np.zeros_like(filtered) if theory.shift_error is None else theory.shift_error
    _, b = fitted_constant(widths, by_step.sum(axis=1), weights)
    steps = np.arange(len(filtered)) if theory.steps is None else theory.steps
    expected = (filtered * theory.shift).sum(axis=1)
    a, spans = step_weights(steps, by_step @ b, expected, (np.abs(filtered) * of_shift).sum(axis=1))
    found, b = fitted_constant(widths, np.einsum("ftw,t->fw", by_step, a), weights)
    error = abs(b @ widths) * theory.error + of_shift
    numerical = float((a[:, None] * np.abs(filtered) * error).sum())
    # What scatter is left has lost a degree of freedom for each further span of steps that it chose.
    dof = max(1.0, found.dof - (spans - 1))
    noise = found.error * math.sqrt(found.dof / dof)
    return Estimate(found.value, math.hypot(noise, numerical), dof, numerical)


def _row_products(cell: Measurement) -> Float[np.ndarray, "row row"]:
    """Products of seeds, or of the means of families."""
    if cell.family is None:
        return cell.products
    return family_means(family_means(cell.products, cell.family)[0].T, cell.family)[0]


def _distance_draws(
    cells: Cells, products: dict[int, Float[np.ndarray, "row row"]], rng: np.random.Generator
) -> dict[int, tuple[Float[np.ndarray, "draw"], Float[np.ndarray, "draw"]]]:
    """Resamples of the single networks' and of the mean's squared distance at each width."""
    families = _families(cells, list(cells))
    if families is None:
        counts = {w: bootstrap_counts(cell.seeds, BOOTSTRAP_DRAWS, rng) for w, cell in cells.items()}
        return {w: bootstrap_squared_distances(cell.products, counts[w]) for w, cell in cells.items()}
    found = {}
    drawn = family_counts(families, BOOTSTRAP_DRAWS, rng)
    for (width, cell), labels, counts in zip(cells.items(), families, drawn, strict=True):
        single = counts @ np.diagonal(cell.products) / np.maximum(counts.sum(axis=1), 1.0)
        of_families = counts[:, np.unique(labels, return_index=True)[1]]
        found[width] = single, bootstrap_squared_distances(products[width], of_families)[1]
    return found


def measure_distances(cells: Cells, theory: PartTheory, alpha: float, rng: np.random.Generator) -> Distances:
    """Distances to infinite width of single networks and of the ensemble mean, and their power laws in N."""
    size = theory.value.size
    # Theory's own error, thrice, is a distance that must not be mistaken for the networks'.
    numerical = 9.0 * float((theory.error**2).sum())
    products = {w: _row_products(cell) for w, cell in cells.items()}
    draws = _distance_draws(cells, products, rng)
    single = {w: float(single_squared_distance(cell.products)) for w, cell in cells.items()}
    means = {w: mean_squared_distance(each) for w, each in products.items()}
    floor = theory.rounding**2 * size
    resolved = {w: m.z > RESOLVED_Z and m.squared > max(numerical, floor) for w, m in means.items()}

    def law(squared: dict[int, float], which: int, widths: list[int]) -> PowerLaw | None:
        if len(widths) < 2:
            return None
        values = np.array([squared[w] for w in widths]) / size
        resampled = np.stack([draws[w][which] for w in widths], axis=1) / size
        return fit_power_law(np.array(widths, dtype=float), values, resampled, alpha)

    return Distances(
        single={w: math.sqrt(s / size) for w, s in single.items()},
        mean={w: math.sqrt(max(m.squared, 0.0) / size) for w, m in means.items()},
        mean_z={w: m.z for w, m in means.items()},
        mean_resolved=resolved,
        single_law=law(single, 0, [w for w, c in cells.items() if c.seeds > 1 and single[w] > floor]),
        mean_law=law({w: m.squared for w, m in means.items()}, 1, [w for w in cells if resolved[w]]),
    )
