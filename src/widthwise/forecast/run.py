"""The forecast: `forecast` is where a reader begins."""

import json
from collections.abc import Sequence

import numpy as np
import xarray as xr

from widthwise.errors import InputError
from widthwise.forecast.advice import advise
from widthwise.forecast.backtest import LEVEL, Trial, backtest, widening
from widthwise.forecast.curves import Curves
from widthwise.forecast.judge import FEWEST_ALONE, FEWEST_WIDTHS, Judgment, judge, too_little
from widthwise.forecast.law import Mixture, fit_law
from widthwise.forecast.reading import read_curves

EDGES = (0.5, (1 - LEVEL) / 2, (1 + LEVEL) / 2)
LARGEST_WIDTH = 2**40


def forecast(
    records: xr.Dataset,
    *,
    widths: Sequence[int],
    variable: str = "loss",
    split: str | None = None,
    tolerance: float = 0.01,
) -> xr.Dataset:
    r"""What networks of widths that were not trained will do, with intervals, at each recorded step.

    $L(N, t) = L_\infty(t) + c(t) (N + s(t))^{-a(t)}$, with flat priors of $L_\infty$ and c at each step and
    Ornstein-Uhlenbeck processes along log steps as priors of a and s. The noise over seeds is that of all
    widths together, correlated along steps. The widest one and two widths are foretold from the others, and
    where that errs, intervals are widened.

    **Arguments:** `records` of several widths, as `open_runs` returns; `widths` to foretell; `variable`,
    another number than the loss, by (width, seed, step); `split`, of the loss, the test's if not given;
    `tolerance`, relative, that the advice is about.
    **Returns:** by (width, step): `loss`, the median; `loss_low`, `loss_high`, the 95 % interval of the mean
    of as many networks as each width has; `single_low`, `single_high`, of one network. By step: `loss_inf`,
    at infinite width, with `_low` and `_high`; `exponent`. By (trained_width, step): `trained`, the means;
    `gap`, their distance from infinite width, with `_low` and `_high`. By (trial, step): `backtest`, with
    `_low`, `_high`, `backtest_measured` and `backtest_nearest`, the widest width that the trial knew.
    Attributes: `verdict`, "held", "broke" or "too little data"; `why`; `covered`, the share of the trials'
    measurements in their intervals; `relative_error`, of the widest width's loss over the last third of the
    steps; `advice`, a sentence; `level`, `seeds`, `left_out`, `notes`. With too few widths or seeds all
    numbers are NaN.
    **Errors:** `InputError` for widths that are none, or records without the variable.
    """
    wanted = _widths(widths)
    if not 0 < tolerance < 1:
        raise InputError(f"`tolerance` = {tolerance!r}: give a share such as 0.01")
    curves, notes = read_curves(records, variable, split)
    missing = too_little(curves)
    if missing:
        return _dataset(curves, wanted, notes, Judgment("too little data", missing))
    law = fit_law(curves)
    trials = backtest(curves, FEWEST_WIDTHS - 1 if law.noise.from_seeds else FEWEST_ALONE - 1)
    factor = widening(curves, trials, law.noise.share)
    seeds = float(np.median(curves.seeds))
    found = {width: law.at(width, seeds).widened(factor) for width in wanted}
    low, high = (found[max(wanted)].quantile(edge) for edge in EDGES[1:])
    judgment = judge(law, trials, (high - low) / 2, max(wanted), variable.endswith("loss"))
    data = _dataset(curves, wanted, notes, judgment)
    for at, width in enumerate(wanted):
        _put(data, "loss", found[width], at)
        edges = [law.at(width, 1.0).widened(factor).quantile(edge) for edge in EDGES[1:]]
        data["single_low"][at], data["single_high"][at] = edges
    _put(data, "loss_inf", law.at(np.inf, np.inf).widened(factor))
    for at in range(len(curves.widths)):
        _put(data, "gap", law.gap(at).widened(factor), at)
    data["exponent"][:] = law.exponent
    data.attrs["advice"] = advise(law, max(wanted), tolerance, factor)
    return _with_trials(data, trials)


def _dataset(curves: Curves, wanted: list[float], notes: tuple[str, ...], judgment: Judgment) -> xr.Dataset:
    """All variables but those of the backtest, not a number but for what was measured."""
    sizes = {"width": len(wanted), "trained_width": len(curves.widths), "step": len(curves.steps)}
    shapes = {name: ("width", "step") for name in ("loss", "loss_low", "loss_high")}
    shapes |= {name: ("width", "step") for name in ("single_low", "single_high")}
    shapes |= {name: ("step",) for name in ("loss_inf", "loss_inf_low", "loss_inf_high", "exponent")}
    shapes |= {name: ("trained_width", "step") for name in ("gap", "gap_low", "gap_high")}
    empty = {n: (dims, np.full([sizes[dim] for dim in dims], np.nan)) for n, dims in shapes.items()}
    measured = {
        "trained": (("trained_width", "step"), curves.means),
        "trained_seeds": ("trained_width", curves.seeds),
    }
    return xr.Dataset(
        {**empty, **measured},
        coords={
            "width": np.array(wanted),
            "trained_width": curves.widths,
            "step": curves.steps.astype(np.int64),
        },
        attrs={
            "verdict": judgment.verdict,
            "why": judgment.why,
            "level": LEVEL,
            "seeds": int(np.median(curves.seeds)),
            "notes": json.dumps(notes),
            "advice": "",
            "covered": np.nan,
            "relative_error": np.nan,
            "left_out": [],
        },
    )


def _put(data: xr.Dataset, name: str, found: Mixture, at: int | None = None) -> None:
    for ending, edge in zip(("", "_low", "_high"), EDGES, strict=True):
        data[name + ending][... if at is None else at] = found.quantile(edge)


def _with_trials(data: xr.Dataset, trials: tuple[Trial, ...]) -> xr.Dataset:
    names = {"": "foretold", "_low": "low", "_high": "high", "_measured": "measured", "_nearest": "nearest"}
    rows = {
        f"backtest{ending}": (("trial", "step"), np.array([getattr(trial, field) for trial in trials]))
        for ending, field in names.items()
    }
    late = slice(-max(1, data.sizes["step"] // 3), None)
    first = trials[0]
    error = np.abs(first.foretold - first.measured)[late] / np.abs(first.measured)[late].clip(1e-300)
    coords = {"trial_width": ("trial", [trial.width for trial in trials])}
    coords |= {"trial_used": ("trial", [trial.used for trial in trials])}
    found = data.assign(rows).assign_coords(coords)
    found.attrs |= {
        "covered": float(np.mean([trial.covered.mean() for trial in trials])),
        "relative_error": float(error.mean()),
        "left_out": sorted({int(trial.width) for trial in trials}),
    }
    return found


def _widths(widths: Sequence[int]) -> list[float]:
    try:
        found = [float(width) for width in widths]
    except (TypeError, ValueError):
        found = []
    if not found or not all(np.isfinite(w) and 1 <= w <= LARGEST_WIDTH and w == int(w) for w in found):
        raise InputError(f"`widths` = {widths!r}: give whole numbers from 1 on, such as [4096]")
    return list(dict.fromkeys(found))
