"""How wide is wide enough, from theory alone."""

import math

import numpy as np
import xarray as xr

from widthwise.analysis.align import find_parts


def relative_distance_terms(theory: xr.Dataset, label: str) -> tuple[float, float] | None:
    r"""(a, b) of a single network's squared relative distance to infinite width, $a/N + b/N^2$.

    Sums over all steps and elements of the part `label`: a = sum V / sum v^2, b = sum shift^2 / sum v^2.
    None if theory has no variance of it, or the infinite-width value is zero.
    """
    for variable in map(str, theory.data_vars):
        if f"{variable}_variance" not in theory:
            continue
        for part in find_parts(theory, variable):
            if part.label != label:
                continue

            def total(name: str, power: int, part=part) -> float:
                if name not in theory:
                    return 0.0
                values = part.elements(theory[name].transpose(*part.dims).to_numpy().astype(np.float64))
                return float(np.nansum(values**power))

            size = total(variable, 2)
            if size <= 0:
                return None
            return total(f"{variable}_variance", 1) / size, total(f"{variable}_shift", 2) / size
    return None


def sufficient_width(theory: xr.Dataset, label: str, tolerance: float) -> float | None:
    """Width from which a typical single network is within `tolerance` of infinite width.

    The distance is relative, a root mean square over steps and elements of the part `label`. Solves a/N +
    b/N^2 = tolerance^2 for N, at leading order; None where theory does not say.
    """
    terms = relative_distance_terms(theory, label)
    if terms is None:
        return None
    a, b = terms
    return (a + math.sqrt(a * a + 4 * b * tolerance**2)) / (2 * tolerance**2)
