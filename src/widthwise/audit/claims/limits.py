"""Losses and rates of training extrapolated to infinite width, and whether wider is better along the way."""

import numpy as np
from jaxtyping import Float

from widthwise.analysis.extrapolate import extrapolate
from widthwise.analysis.inverse_powers import fit_inverse_powers
from widthwise.analysis.verdict import Test, Untested
from widthwise.audit.claims.function_gaps import alive_curves, comparable
from widthwise.audit.claims.loss_curves import split_names
from widthwise.audit.claims.training_rate import rates_of
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.wording import percent

CURVES, RATE = "loss_curves", "training_rate"


def descriptions(measured: EnsembleView) -> list[Test]:
    r"""Of each split: the share of steps and neighboring widths at which the wider network's mean loss is not
    the larger one; at the last step the loss of infinite width, $L_\infty + c N^{-a}$, with what it would
    have predicted of the widest width from the others; and the gap of the narrowest to the widest, over the
    loss now and over the initial one, which rank tasks differently."""
    name = measured.first_of("loss", "batch_loss")
    if name is None:
        return []
    widths, steps = comparable(measured, measured.some_steps(512, name))
    if len(widths) < 2:
        return []
    tables = alive_curves(measured, name, steps, widths)
    splits = tables[0].shape[2]
    names = split_names(measured, splits)
    found = []
    for split in range(splits):
        curves = [table[..., split] for table in tables]
        curves = [curve[np.isfinite(curve).all(axis=1)] for curve in curves]
        if all(len(curve) > 1 for curve in curves):
            where = {"split": names[split], "step": int(measured.steps[steps[-1]])}
            found += _wider_is_better(curves, where)
            found += _limit(measured, widths, curves, where)
            found += _gap(measured, widths, curves, where)
    return found


def rate_descriptions(measured: EnsembleView) -> list[Test]:
    r"""The rate of training of infinite width: $R_\infty + c_1/N$, and $+ c_2/N^2$ where Akaike's criterion
    prefers it."""
    rates = rates_of(measured)
    if isinstance(rates, Untested):
        return []
    widths, values, where = rates
    fit = fit_inverse_powers([measured.widths[w] for w in widths], values)
    if fit is None:
        return []
    terms = f"{fit.limit.value:.3g} {_signed(fit.first.value)}/N"
    terms += "" if fit.second is None else f" {_signed(fit.second.value)}/N²"
    kept = "" if fit.preferred is None else f", preferred by {fit.preferred:.2g} in Akaike's criterion"
    return [
        Test(
            claim=RATE,
            where=where | {"quantity": "infinite width", "unit": "rate per step"},
            estimate=fit.limit.value,
            interval=fit.limit.interval(measured.alpha),
            expected=float(values[-1].mean()),
            advice_good=f"Training rates follow {terms}{kept}; N = {measured.widths[widths[-1]]} has "
            f"{float(values[-1].mean()):.3g} per step.",
        )
    ]


def _wider_is_better(curves: list[Float[np.ndarray, "_ step"]], where: dict) -> list[Test]:
    means = np.array([curve.mean(axis=0) for curve in curves])[:, 1:]
    if not means.size:
        return []
    share = float((means[1:] <= means[:-1]).mean())
    return [
        Test(
            claim=CURVES,
            where={
                "split": where["split"],
                "quantity": "wider is not worse",
                "until_step": where["step"],
                "unit": "share of steps",
            },
            estimate=share,
            expected=1.0,
            advice_good=f"At {percent(share, 1)} of the recorded steps after the first, over all pairs of "
            "neighboring widths, the wider networks' mean loss is not the larger one.",
        )
    ]


def _limit(
    measured: EnsembleView, widths: list[int], curves: list[Float[np.ndarray, "_ step"]], where: dict
) -> list[Test]:
    rng = np.random.default_rng(measured.settings.seed)
    last = [curve[:, -1] for curve in curves]
    families = measured.labels(widths, [len(each) for each in last])
    fit = extrapolate([measured.widths[w] for w in widths], last, measured.alpha, rng, families)
    if fit is None:
        return []
    return [
        Test(
            claim=CURVES,
            where=where | {"quantity": "infinite width", "unit": "loss"},
            estimate=fit.limit,
            interval=fit.limit_interval,
            expected=fit.measured,
            advice_good=f"The loss goes to {fit.limit:.3g} at infinite width, as N^-{fit.exponent:.2g} "
            f"(between {fit.exponent_interval[0]:.2g} and {fit.exponent_interval[1]:.2g}). From the other "
            f"widths that of N = {measured.widths[widths[-1]]} would be {fit.predicted:.3g}, and it is "
            f"{fit.measured:.3g}.",
        )
    ]


def _gap(
    measured: EnsembleView, widths: list[int], curves: list[Float[np.ndarray, "_ step"]], where: dict
) -> list[Test]:
    narrow, wide = curves[0], curves[-1]
    gap = float(narrow[:, -1].mean() - wide[:, -1].mean())
    error = float((narrow[:, -1].var(ddof=1) / len(narrow) + wide[:, -1].var(ddof=1) / len(wide)) ** 0.5)
    told = f" ({abs(gap) / error:.2g} standard errors)" if error > 0 else ""
    n, last = measured.widths[widths[0]], measured.widths[widths[-1]]
    found = []
    for unit, step in (("the loss now", -1), ("the initial loss", 0)):
        size = float(wide[:, step].mean())
        if not size > 0:
            continue
        found.append(
            Test(
                claim=CURVES,
                where=where | {"quantity": "gap", "width": n, "against": last, "unit": f"over {unit}"},
                estimate=gap / size,
                interval=((gap - 2 * error) / size, (gap + 2 * error) / size),
                expected=0.0,
                advice_good=f"At the last step the loss of N = {n} is that of N = {last} "
                f"{_signed(gap / size)} times {unit}{told}.",
            )
        )
    return found


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'} {abs(value):.3g}"
