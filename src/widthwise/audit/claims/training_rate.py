"""Networks of all widths learn at the same rate."""

import numpy as np
from jaxtyping import Float

from widthwise.analysis.verdict import Test, Untested
from widthwise.audit.claims.function_gaps import alive_curves, comparable, gap_test
from widthwise.audit.claims.loss_curves import split_names
from widthwise.audit.ensemble_view import EnsembleView

CLAIM = "training_rate"
WINDOW = (0.9, 0.2)  # of the initial loss, mean over all networks


def tests(measured: EnsembleView) -> list[Test] | Untested:
    """Gaps of R_N shrink: the slope of -log(loss) against the step while the mean loss of all networks falls
    from 0.9 to 0.2 of its initial value (or as far as it gets), on the training split where there is one."""
    found = rates_of(measured)
    if isinstance(found, Untested):
        return found
    widths, rates, where = found
    products = measured.products(widths, iter([[r[:, None] for r in rates]]))
    values = ", ".join(
        f"{r.mean():.3g} at N = {measured.widths[w]}" for r, w in zip(rates, widths, strict=True)
    )
    return [gap_test(measured, CLAIM, products, where, what=f"training rates ({values} per step)")]


def rates_of(
    measured: EnsembleView,
) -> tuple[list[int], list[Float[np.ndarray, " _"]], dict[str, str | int | float]] | Untested:
    """Positions of the widths, R_N of each of their networks, and where it was measured; or why not."""
    name = measured.first_of("loss", "batch_loss")
    if name is None:
        return Untested(claim=CLAIM, why="the records have no `loss`: record it")
    widths, steps = comparable(measured, measured.some_steps(256, name))
    splits = measured.records.sizes.get("split", 1) if name == "loss" else 1
    names = split_names(measured, splits)
    split = names.index("train") if "train" in names else 0
    curves = [each[..., split] for each in alive_curves(measured, name, steps, widths)]
    mean = np.mean([curve.mean(axis=0) for curve in curves], axis=0)
    if not (mean > 0).all():
        return Untested(claim=CLAIM, why=f"`{name}` is not positive everywhere: its logarithm has no slope")
    inside = (mean <= WINDOW[0] * mean[0]) & (mean >= WINDOW[1] * mean[0])
    if inside.sum() < 3:
        return Untested(
            claim=CLAIM,
            why="fewer than 3 recorded steps have a mean loss between 0.9 and 0.2 of the initial one: record "
            "more steps",
        )
    time = measured.steps[steps][inside].astype(float)
    slope = (time - time.mean()) / ((time - time.mean()) ** 2).sum()
    with np.errstate(all="ignore"):
        rates = [-(np.log(curve[:, inside]) @ slope) for curve in curves]
    if not all(np.isfinite(r).all() for r in rates):
        return Untested(claim=CLAIM, why=f"`{name}` is not positive in every network")
    where: dict[str, str | int | float] = {"split": names[split]}
    where |= {"from_step": int(time[0]), "until_step": int(time[-1])}
    return widths, rates, where
