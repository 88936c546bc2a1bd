"""What training was set to do is the same at every width: checks that need no statistics."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from widthwise.analysis.verdict import OWN, Test, Untested
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.audit.laws import matrices_of
from widthwise.wording import percent

CLAIM = "training_setup"
SAME = 1e-3  # relative: beyond it numbers that were set are not the same
ROUNDED = 0.05  # by how much the share of entries that an update does not move may grow with the width
EPSILON = 0.1  # and the share by which epsilon makes Adam's steps smaller
LEAST_DECAY = 0.05  # of a weight, over all of training: less decay than that is none
FULL_PRECISION = 20  # bits of a mantissa; numbers with fewer round updates away
ONE_STUDY = (
    "All networks were trained by one study: the same batches, optimizer, schedule, clipping, decay and "
    "precision at every width, and no dropout."
)
Curve = Float[np.ndarray, "width step"]


def tests(measured: EnsembleView) -> list[Test] | Untested:
    """Batches, dropout, schedule, decay, epsilon and precision do not depend on the width.

    Rates of tensors may, by one factor for all of training: their schedules, relative to the first rate that
    is not zero, must be the same. Decay, rate times `weight_decay`, may not take more of the weights of wider
    networks. Epsilon may scale, if it makes the steps of wide networks no smaller. Numbers of half precision
    must not lose the small updates of wide networks. Records of a study were trained by this package, by one
    set-up: that is described, and nothing is left to check.
    """
    checks: tuple[Callable[[EnsembleView], Test | None], ...] = (
        _batch_size, _batch_order, _dropout, _schedule, _momentum, _decay, _epsilon, _precision,
    )  # fmt: skip
    found = [test for check in checks if (test := check(measured)) is not None]
    if not found and measured.study is not None:
        return [Test(claim=CLAIM, where={"check": "study"}, advice_good=ONE_STUDY)]
    if len(measured.widths) < 2 or not found:
        return Untested(
            claim=CLAIM, why="the records do not say how training was set: give the recorder `optimizer`"
        )
    return found


def _batch_size(measured: EnsembleView) -> Test | None:
    return _same(measured, "batch_size", "batch size", "The batch size")


def _dropout(measured: EnsembleView) -> Test | None:
    return _same(measured, "dropout_rate", "dropout", "The dropout rate")


def _same(measured: EnsembleView, name: str, check: str, what: str) -> Test | None:
    """One number a step that must be the same at all widths."""
    if not measured.has(name, "step"):
        return None
    table = _means(measured.numbers(name))
    differs = _differing(table)
    if differs is None:
        return _test(check, True, f"{what} is the same at every width.")
    width, step = differs
    label = int(measured.steps[step])
    return _test(
        check,
        False,
        f"{what} depends on the width: at step {label} it is {table[0, step]:.3g} at N = "
        f"{measured.widths[0]} and {table[width, step]:.3g} at N = {measured.widths[width]}: "
        "take the same at every width.",
        step=label,
    )


def _batch_order(measured: EnsembleView) -> Test | None:
    """The hash of each batch; where every run has batches of its own, widths differ by chance only."""
    if not measured.has("batch_hash", "step"):
        return None
    hashes = np.stack(measured.numbers("batch_hash"))  # (width, seed, step)
    known = np.isfinite(hashes)
    both = known & known[:1]
    wrong = both & (hashes != hashes[:1])
    own = all(len(set(column[column == column])) == (column == column).sum() for column in _columns(hashes))
    if not wrong.any():
        return _test("batches", True, "Networks of all widths see the same batches in the same order.")
    width, _, step = (int(i) for i in np.argwhere(wrong)[0])
    label = int(measured.steps[step])
    where = (
        f"at step {label}, N = {measured.widths[width]} and N = {measured.widths[0]} see different batches"
    )
    remedy = "draw them by a seed of their own, the same for every network"
    if own and both.any(axis=1).all(axis=0).any():
        return _test(
            "batches",
            True,
            f"Every network has batches of its own ({where}): scatter between seeds holds that of the data, "
            f"which does not fall with the width; {remedy}.",
            step=label,
        )
    return _test("batches", False, f"The batches depend on the width: {where}: {remedy}.", step=label)


def _columns(hashes: Float[np.ndarray, "width seed step"]) -> Sequence[Float[np.ndarray, " network"]]:
    """Of each step all networks; only one network a column tells nothing."""
    return [hashes[..., step].ravel() for step in range(hashes.shape[2])]


def _schedule(measured: EnsembleView) -> Test | None:
    if not measured.has("learning_rate", "step", "tensor"):
        return None
    rates = _means(measured.numbers("learning_rate"))  # (width, step, tensor)
    names = measured.names("tensor")
    for tensor, name in enumerate(names):
        table = rates[..., tensor]
        positive = (table > 0).all(axis=0)
        if not positive.any():
            continue
        relative = table / table[:, [int(np.argmax(positive))]]
        differs = _differing(relative)
        if differs is not None:
            width, step = differs
            label = int(measured.steps[step])
            return _test(
                "schedule",
                False,
                f"The learning rate follows another schedule at N = {measured.widths[width]}: relative to "
                f"its first value it is {relative[width, step]:.3g} at step {label}, and "
                f"{relative[0, step]:.3g} at N = {measured.widths[0]} (`{name}`): take the same warm-up and "
                "decay at every width.",
                step=label,
            )
    return _test("schedule", True, "Learning rates follow the same schedule at every width.")


def _momentum(measured: EnsembleView) -> Test | None:
    tested = None
    for name, what in (("optimizer_hash", "optimizer"), ("momentum", "momentum"), ("beta2", "second beta")):
        if not measured.has(name, "step", "tensor"):
            continue
        table = _means(measured.numbers(name))
        for tensor, label in enumerate(measured.names("tensor")):
            if (differs := _differing(table[..., tensor])) is not None:
                at = measured.widths[differs[0]]
                return _test(
                    "optimizer",
                    False,
                    f"`{label}` has another {what} at N = {at} than at N = {measured.widths[0]}: take the "
                    "same.",
                )
        tested = _test("optimizer", True, "Optimizers and their averages are the same at every width.")
    return tested


def _decay(measured: EnsembleView) -> Test | None:
    """Rate times decay is the share of a weight that a step takes away, coupled or not."""
    if not measured.has("weight_decay", "step", "tensor"):
        return None
    shares = _means(measured.numbers("learning_rate")) * _means(measured.numbers("weight_decay"))
    steps = max(int(measured.steps[-1]), 1)
    for tensor, name in enumerate(measured.names("tensor")):
        mean = _over_steps(shares[..., tensor])
        if np.isfinite(mean).all() and mean[-1] * steps > LEAST_DECAY and mean[-1] > (1 + SAME) * mean[0]:
            return _test(
                "weight decay",
                False,
                f"Weight decay takes {mean[-1] / mean[0]:.3g} times more of `{name}` at N = "
                f"{measured.widths[-1]} than at N = {measured.widths[0]} in a step: keep rate times decay "
                "the same.",
            )
    return _test("weight decay", True, "Weight decay takes no more of the weights of wider networks.")


def _epsilon(measured: EnsembleView) -> Test | None:
    if not measured.has("epsilon_share", "step", "tensor"):
        return None
    shares = _means(measured.numbers("epsilon_share"))
    matrices = matrices_of(measured)
    share = np.stack([_over_steps(shares[..., k]) for k in np.flatnonzero(matrices)], axis=1)
    known = np.isfinite(share).all(axis=0)
    if not known.any():
        return None
    low, high = np.median(share[0, known]), np.median(share[-1, known])
    told = f"{percent(low, 1)} at N = {measured.widths[0]}, {percent(high, 1)} at N = {measured.widths[-1]}"
    if abs(high - low) <= EPSILON:
        return _test("epsilon", True, f"Epsilon makes Adam's steps as much smaller at every width ({told}).")
    return _test(
        "epsilon",
        False,
        "Adam's eps is not small beside the gradients, which shrink with the width: it makes steps smaller "
        f"by {told}: take a smaller eps, such as a thousandth of it, or divide it by the width.",
    )


def _precision(measured: EnsembleView) -> Test | None:
    if not measured.has("weight_bits", "step", "tensor"):
        return None
    bits, matrices = _means(measured.numbers("weight_bits")), matrices_of(measured)
    table = bits[..., matrices]
    for tensor in range(table.shape[2]):
        if (differs := _differing(table[..., tensor])) is not None:
            at = measured.widths[differs[0]]
            return _test("precision", False, f"Weights have another dtype at N = {at}: take the same.")
    few = np.nanmin(table, axis=(0, 1)) < FULL_PRECISION if np.isfinite(table).any() else np.zeros(0, bool)
    if few.any() and measured.has("unmoved_share", "step", "tensor"):
        shares = _means(measured.numbers("unmoved_share"))[..., matrices][..., few]
        unmoved = np.mean([_over_steps(shares[..., k]) for k in range(shares.shape[2])], axis=0)
        if unmoved[-1] - unmoved[0] > ROUNDED:
            return _test(
                "precision",
                False,
                f"Weights of half precision (dtype such as bfloat16) lose updates: {percent(unmoved[-1])} "
                f"of the entries do not move in a step at N = {measured.widths[-1]}, {percent(unmoved[0])} "
                f"at N = {measured.widths[0]}: keep the weights in float32, and cast only what is computed.",
            )
    return _test("precision", True, "Weights have the same precision, and updates are not rounded away.")


def _means(numbers: Sequence[Float[np.ndarray, "seed step ..."]]) -> Float[np.ndarray, "width step ..."]:
    """Over the seeds that count."""
    with np.errstate(all="ignore"):
        return np.stack([np.nansum(v, axis=0) / np.isfinite(v).sum(axis=0) for v in numbers])


def _over_steps(table: Curve) -> Float[np.ndarray, " width"]:
    """Mean over the steps at which every width has a number; NaN if there are none."""
    able = np.isfinite(table).all(axis=0)
    return table[:, able].mean(axis=1) if able.any() else np.full(len(table), np.nan)


def _differing(table: Curve) -> tuple[int, int] | None:
    """The first (width, step) that differs from the narrowest width's."""
    with np.errstate(all="ignore"):
        wrong = np.abs(table - table[:1]) > SAME * np.maximum(np.abs(table), np.abs(table[:1]))
    places = np.argwhere(wrong.T)
    return None if not len(places) else (int(places[0][1]), int(places[0][0]))


def _test(check: str, same: bool, words: str, **where: int) -> Test:
    return Test(
        claim=CLAIM,
        where={"check": check, **where},
        p_value=1.0 if same else 0.0,
        advice_good=words if same else "",
        advice_bad="" if same else words,
        depth=OWN,
    )
