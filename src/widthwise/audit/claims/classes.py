"""Classes: how often networks of two widths choose other ones, and how far apart their probabilities are."""

import math

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from widthwise.analysis.ensembling import Kind
from widthwise.analysis.pairs import jensen_shannon
from widthwise.analysis.verdict import Test
from widthwise.audit.claims.described import pair_rows
from widthwise.audit.claims.function_gaps import comparable
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.audit.reading import sound, thinned

CLAIM = "predictions"
MOST_POINTS = 512
NEARLY = 0.05  # relative difference of a recorded loss from the cross entropy of the recorded outputs


def loss_kind(measured: EnsembleView) -> Kind:
    """ "cross_entropy" or "mse": as the study or the records' attribute `loss` says, else what the recorded
    losses are of the recorded outputs and targets at the first step; "mse" where nothing tells."""
    study = measured.study
    named = measured.records.attrs.get("loss") if study is None else study.training.loss
    if named is None:
        return _guessed(measured)
    return "cross_entropy" if named == "cross_entropy" else "mse"


def descriptions(measured: EnsembleView) -> list[Test]:
    """At the last step, on held-out points where there are some: the share of points on which a network of
    each width and one of the widest choose different classes, and the Jensen-Shannon divergence of their
    probabilities. Nothing if the loss is no cross entropy."""
    if not by_class(measured) or loss_kind(measured) != "cross_entropy":
        return []
    widths, steps = comparable(measured, measured.some_steps(32, "prediction"))
    points, split = points_of(measured)
    points = points[np.unique(np.linspace(0, len(points) - 1, MOST_POINTS).round().astype(int))]
    outputs = [outputs_of(measured, w, steps[-1])[measured.usable(steps[-1])[w]][:, points] for w in widths]
    outputs = [each[sound(each).all(axis=(1, 2))] for each in outputs]
    where = {"split": split, "step": int(measured.steps[steps[-1]])}
    chosen = pair_rows(
        measured,
        CLAIM,
        widths,
        [each.argmax(axis=2).astype(float) for each in outputs],
        {"quantity": "other class"} | where | {"unit": "share of points"},
        distance=lambda a, b: float((a != b).mean()),
        words=lambda x, n, m: (
            f"Networks of N = {n} and {m} choose different classes on {x:.2g} of the points"
        ),
    )
    apart = pair_rows(
        measured,
        CLAIM,
        widths,
        [special.softmax(each, axis=2) for each in outputs],
        {"quantity": "class probabilities"} | where | {"unit": "Jensen-Shannon divergence"},
        distance=lambda a, b: float(jensen_shannon(a, b).mean()),
        words=lambda x, n, m: (
            f"Class probabilities of N = {n} and {m} differ by {x:.2g} nats (Jensen-Shannon)"
        ),
    )
    return [*chosen, *apart]


def without_common_part(
    values: Float[np.ndarray, "seed step _ _"], measured: EnsembleView
) -> Float[np.ndarray, "seed step _ _"]:
    """Predictions as they were recorded less their mean over classes, which no probability depends on."""
    dims = [str(d) for d in measured.records["prediction"].dims if d in ("point", "output")]
    return values - values.mean(axis=dims.index("output") + 2, keepdims=True)


def outputs_of(measured: EnsembleView, width: int, step: int) -> Float[np.ndarray, "seed point output"]:
    """Predictions at the positions of a width and a step, of the points that are read."""
    dims = [str(d) for d in measured.records["prediction"].dims if d in ("point", "output")]
    values = measured.read("prediction", width, [step])[:, 0]
    return np.moveaxis(values, dims.index("point") + 1, 1)


def points_of(measured: EnsembleView) -> tuple[Int[np.ndarray, " point"], str]:
    """Positions among the points that are read: held-out ones where there are some, else all."""
    read = read_points(measured)
    held_out = points_named(measured, read, "test")
    return (held_out, "test") if len(held_out) else (np.arange(len(read)), "all")


def points_named(
    measured: EnsembleView, points: Int[np.ndarray, " point"], name: str
) -> Int[np.ndarray, " chosen"]:
    """Positions among `points` of those of the split `name`; none where splits are not known by point."""
    records = measured.records
    if "split" not in records.coords or records["split"].dims != ("point",):
        return np.zeros(0, dtype=int)
    return np.flatnonzero([str(each) == name for each in records["split"].to_numpy()[points]])


def read_points(measured: EnsembleView) -> Int[np.ndarray, " point"]:
    """Positions among the recorded points of those that are read of predictions."""
    predictions = measured.records["prediction"]
    every = np.arange(predictions.sizes["point"])
    return thinned(predictions, measured.settings).get("point", every)


def targets_at(
    measured: EnsembleView, points: Int[np.ndarray, " chosen"]
) -> Float[np.ndarray, "chosen output"] | None:
    """Targets at positions among the recorded points; None where they are not known or not finite."""
    records = measured.records
    if "target" not in records or set(map(str, records["target"].dims)) != {"point", "output"}:
        return None
    found = records["target"].transpose("point", "output").to_numpy()
    if found.dtype.kind not in "fiub" or not sound(found[points]).all():
        return None
    return found[points].astype(float)


def by_class(measured: EnsembleView) -> bool:
    """Whether predictions are of several outputs of points."""
    records = measured.records
    return (
        "prediction" in records
        and set(map(str, records["prediction"].dims)) == {"width", "seed", "step", "point", "output"}
        and records.sizes["output"] > 1
    )


def _guessed(measured: EnsembleView) -> Kind:
    """Whether the first recorded loss is that of probabilities, of the same points."""
    if not by_class(measured) or not measured.has("loss", "step"):
        return "mse"
    y = targets_at(measured, read_points(measured))
    if y is None or (y < 0).any() or not np.allclose(y.sum(axis=1), 1, atol=1e-3):
        return "mse"
    width = int(measured.usable(0).any(axis=1).argmax())
    alive = measured.usable(0)[width]
    losses = measured.read("loss", width, [0])[alive][:, 0]
    logs = special.log_softmax(outputs_of(measured, width, 0)[alive], axis=2)
    entropy = -(y * logs).sum(axis=2)  # (seed, point)
    if not losses.size or not np.isfinite(losses).all() or not np.isfinite(entropy).all():
        return "mse"
    mean = float(losses.mean())
    sizes = (float(entropy.mean()), float(entropy.sum(axis=1).mean()))
    same = any(mean > 0 and abs(math.log(mean / max(size, 1e-300))) < NEARLY for size in sizes)
    return "cross_entropy" if same else "mse"
