"""Mean predictions extrapolated to infinite width, and whether such extrapolation foretells the widest."""

import math

import numpy as np

from widthwise.analysis.extrapolate import richardson
from widthwise.analysis.gaps import Products, difference, gap_interval
from widthwise.analysis.verdict import Test
from widthwise.audit.claims.function_gaps import comparable
from widthwise.audit.claims.predictions import CLAIM, mean_products
from widthwise.audit.ensemble_view import EnsembleView


def descriptions(measured: EnsembleView) -> list[Test]:
    r"""At the last step, relative to the size of the widest width's mean function: its distance from
    Richardson's limit, $f_\infty = \bar f_N + (\bar f_N - \bar f_M) M / (N - M)$ of the two widest widths
    M < N, and how far the two before it, extrapolated as 1/N, miss it, beside how far the nearer of them
    does as it is. Nothing with fewer than three widths or two networks of one of them."""
    if measured.missing("prediction"):
        return []
    widths, steps = comparable(measured, measured.some_steps(32, "prediction"))
    step = steps[-1]
    counted = measured.usable(step)[widths].sum(axis=1)
    if len(widths) < 3 or (counted[-3:] < 2).any():
        return []
    products = mean_products(measured, [step], widths)
    size = math.sqrt(max(0.0, products.mean_size(len(widths) - 1)))
    if not size > 0:
        return []
    first, second, last = products.widths[-3:]
    ahead = _combined(products, -2, richardson(second, last))
    missed = _combined(products, -3, richardson(first, second, at=last))
    plain, _ = _relative(measured, products, difference(len(widths), len(widths) - 1, len(widths) - 2), size)
    told = {
        "distance from infinite width": (
            ahead,
            f"Mean predictions of N = {last} are {{:.2g}} of their size away from those of infinite width, "
            f"if gaps fall as 1/N from N = {second} on.",
        ),
        "foretold from narrower ones": (
            missed,
            f"From N = {first} and {second} those of N = {last} are foretold, as 1/N, to {{:.2g}} of their "
            f"size; N = {second} itself differs from them by {plain:.2g}.",
        ),
    }
    where, found = {"step": int(measured.steps[step]), "unit": "of their size"}, []
    for quantity, (coefficients, words) in told.items():
        value, interval = _relative(measured, products, coefficients, size)
        found.append(
            Test(
                claim=CLAIM,
                where=where | {"quantity": quantity, "width": last},
                estimate=value,
                interval=interval,
                expected=0.0,
                advice_good=words.format(value),
            )
        )
    return found


def _combined(products: Products, start: int, coefficients: tuple[float, float]) -> list[float]:
    """The extrapolation from two neighboring widths less the widest width's mean function."""
    every = [0.0] * len(products.widths)
    every[start], every[start + 1] = coefficients
    every[-1] -= 1.0
    return every


def _relative(
    measured: EnsembleView, products: Products, coefficients: list[float], size: float
) -> tuple[float, tuple[float, float]]:
    rng = np.random.default_rng(measured.settings.seed)
    value, (low, high) = gap_interval(products, coefficients, measured.alpha, rng)
    return value / size, (low / size, high / size)
