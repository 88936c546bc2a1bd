"""Measuring an ensemble against theory: one reading of the records, by variable, slab of steps and width."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import xarray as xr
from jaxtyping import Float

from widthwise.analysis.align import Common, Part, find_parts
from widthwise.analysis.elementwise import element_numbers, whole_theory
from widthwise.analysis.families import Labels, family_means
from widthwise.analysis.part_theory import PartTheory, read_part_theory, rounding_of
from widthwise.analysis.seeds import variance_by_step
from widthwise.analysis.signflip import FORGIVEN_STANDARD_ERRORS, LargestT, largest_t
from widthwise.analysis.step_blocks import read_block, step_slabs
from widthwise.progress import SILENT, Progress

# More elements of a part than this are thinned evenly for the largest t; all other numbers use every element.
ELEMENTS_IN_LARGEST_T = 2**14

T = TypeVar("T")
# A table (flip, seed) for each number of seeds; their sizes differ, so only the rank is checked.
Signs = dict[int, Float[np.ndarray, "_ _"]]


@dataclass(frozen=True)
class Measurement:
    """One part at one width.

    **Fields:** `products`, seed products of deviations from infinite width, summed over steps and elements;
    per step the mean over elements of the `variance` s^2 and of |v_e - v_inf|^2, and the former's relative
    error; `projection`, each seed's matched-filter measure of (shift in the networks) / (shift in theory), by
    steps that add up to it;
    `raw` and `freed`, the largest |t| against theory with its shift, and with the next order removed as
    well (None at the narrowest width); `mismatches`, elements that do not vary over seeds and yet are not
    theory's; `family` of each seed, where widths share some, of which `raw` and `freed` then have the means.
    """

    seeds: int
    products: Float[np.ndarray, "seed seed"]
    variance: Float[np.ndarray, "step"]
    variance_relative_error: Float[np.ndarray, "step"]
    squared_distance: Float[np.ndarray, "step"]
    projection: Float[np.ndarray, "seed step"] | None
    raw: LargestT
    freed: LargestT | None
    mismatches: int
    family: Labels | None = None

    @property
    def rows(self) -> int:
        """How many independent rows the tests of the mean have: families, else seeds."""
        return self.seeds if self.family is None else len(np.unique(self.family))

    def merged(self, later: "Measurement") -> "Measurement":
        """With the measurement of later steps."""
        return Measurement(
            seeds=self.seeds,
            products=self.products + later.products,
            variance=np.concatenate([self.variance, later.variance]),
            variance_relative_error=np.concatenate(
                [self.variance_relative_error, later.variance_relative_error]
            ),
            squared_distance=np.concatenate([self.squared_distance, later.squared_distance]),
            projection=_both(lambda a, b: np.concatenate([a, b], axis=1), self.projection, later.projection),
            raw=self.raw.merged(later.raw),
            freed=_both(LargestT.merged, self.freed, later.freed),
            mismatches=self.mismatches + later.mismatches,
            family=self.family,
        )


def _both(combine: Callable[[T, T], T], first: T | None, second: T | None) -> T | None:
    return None if first is None or second is None else combine(first, second)


@dataclass(frozen=True)
class Narrower:
    """The narrowest width's deviations in the same block, of its seeds or families; by them the next order is
    removed."""

    width: int
    deviations: Float[np.ndarray, "row step element"]
    family: Labels | None


@dataclass(frozen=True)
class VariableMeasurement:
    """All parts of a variable at all widths, and its numbers at every element."""

    parts: list[Part]
    theories: list[PartTheory]
    cells: dict[tuple[str, int], Measurement]
    elements: dict[str, Float[np.ndarray, "width step ..."]]


def measure_variable(
    theory: xr.Dataset,
    records: xr.Dataset,
    variable: str,
    common: Common,
    *,
    signs: Signs,
    progress: Progress = SILENT,
) -> VariableMeasurement:
    """Read the variable once and measure each of its parts at each width that has a usable seed.

    `signs` holds one table of sign choices for every number of seeds that occurs.
    """
    parts = find_parts(theory, variable)
    rounding = rounding_of(theory, records, variable)
    theories = [read_part_theory(theory, part, common, rounding) for part in parts]
    filters = [t.matched_filter() for t in theories]
    whole = whole_theory(theory, parts[0], common)
    widths = records["width"].to_numpy()
    narrowest = reference_width(widths, common.valid.sum(axis=1))
    cells: dict[tuple[str, int], Measurement] = {}
    elements: dict[str, Float[np.ndarray, "width step ..."]] = {}
    for slab in step_slabs(records, variable, len(common.steps)):
        here = {suffix: values[slab] for suffix, values in whole.items()}
        narrower: dict[str, Narrower] = {}
        for at in sorted(range(len(widths)), key=lambda i: (i != narrowest, widths[i])):
            width = int(widths[at])
            block = read_block(records, variable, at, common.records_at[slab], common.valid[at])
            for name, values in element_numbers(block, width, here, rounding).items():
                empty = np.full((len(widths), len(common.steps), *values.shape[1:]), np.nan)
                elements.setdefault(name, empty)[at, slab] = values
            progress.advance()
            if len(block) == 0:
                continue
            deviations = block - here[""]
            family = None if common.families is None else common.families[at]
            for part, part_theory, weights in zip(parts, theories, filters, strict=True):
                chosen = part.elements(deviations)
                cell = measure_block(
                    chosen,
                    width,
                    part_theory.at(slab),
                    weights=None if weights is None else weights[slab],
                    narrower=narrower.get(part.label) if width > widths[narrowest] else None,
                    signs=signs,
                    family=family,
                    stride=-(-part_theory.value.size // ELEMENTS_IN_LARGEST_T),
                )
                key = (part.label, width)
                cells[key] = cells[key].merged(cell) if key in cells else cell
                if at == narrowest:
                    narrower[part.label] = Narrower(width, *_rows(chosen, family))
    return VariableMeasurement(parts, theories, cells, elements)


def _rows(
    values: Float[np.ndarray, "seed step element"], family: Labels | None
) -> tuple[Float[np.ndarray, "row step element"], Labels | None]:
    """What is independent: the seeds, or the means of families with their labels."""
    return (values, None) if family is None else family_means(values, family)


def reference_width(widths: np.ndarray, seeds: np.ndarray) -> int:
    """Position of the narrowest width that kept at least half as many seeds as the best one."""
    enough = np.flatnonzero(2 * seeds >= seeds.max())
    return int(enough[np.argmin(widths[enough])])


def measure_block(
    deviations: Float[np.ndarray, "seed step element"],
    width: int,
    theory: PartTheory,
    *,
    weights: Float[np.ndarray, "step element"] | None,
    narrower: Narrower | None,
    signs: Signs,
    stride: int,
    family: Labels | None = None,
) -> Measurement:
    """One block of steps of one part at one width; `deviations` are from infinite width.

    The largest |t| reads every `stride`-th of the elements that vary over seeds.
    """
    seeds, _, elements = deviations.shape
    flat_deviations = deviations.reshape(seeds, -1)
    variance, relative_error = variance_by_step(deviations.transpose(1, 0, 2))
    rows, labels = _rows(deviations, family)
    residuals = rows - theory.expected_shift(width)
    forgiven = FORGIVEN_STANDARD_ERRORS * theory.mean_error(width)
    varies = deviations.std(axis=0) > theory.rounding
    off = np.abs(residuals.mean(axis=0)) > theory.rounding + forgiven
    flat = np.flatnonzero(varies)[::stride]

    def largest(values: Float[np.ndarray, "seed step element"]) -> LargestT:
        chosen = values.reshape(len(values), -1)[:, flat]
        return largest_t(chosen, signs[len(values)], forgiven.ravel()[flat])

    freed = None
    if narrower is not None:
        # A remainder c / N^k is the narrowest width's times ratio. Its rows are paired with this width's, so
        # that one row's difference has mean zero wherever theory is right up to that remainder.
        ratio = (narrower.width / width) ** (1 if theory.shift is None else 2)
        if labels is None or narrower.family is None:
            mine = others = np.arange(min(seeds, len(narrower.deviations)))
        else:
            _, mine, others = np.intersect1d(labels, narrower.family, return_indices=True)
        rest = rows[mine] - ratio * narrower.deviations[others]
        expected = theory.expected_shift(width) - ratio * theory.expected_shift(narrower.width)
        freed = largest(rest - expected)
    return Measurement(
        seeds=seeds,
        products=flat_deviations @ flat_deviations.T,
        variance=variance / elements,
        variance_relative_error=relative_error,
        squared_distance=np.einsum("ste,ste->t", deviations, deviations) / (seeds * elements),
        projection=None if weights is None else width * np.einsum("ste,te->st", deviations, weights),
        raw=largest(residuals),
        freed=freed,
        # With one seed nothing varies, and that says nothing.
        mismatches=int((off & ~varies).sum()) if seeds > 1 else 0,
        family=family,
    )
