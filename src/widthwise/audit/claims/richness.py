"""Features move as far at every width."""

import numpy as np
from jaxtyping import Float

from widthwise.analysis.verdict import Test, Untested
from widthwise.audit.claims.scale_series import early_step
from widthwise.audit.claims.width_exponent import exponent_test, fit_positive
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.audit.laws import fixed_inside, tensor_laws

CLAIM = "richness"


def tests(measured: EnsembleView) -> list[Test] | Untested:
    r"""The exponent of $|\Phi_t - \Phi_0| / |\Phi_0|$, Frobenius norms of each network's feature kernel, is
    0 at the last step at which the losses of all widths still agree: features learn, and no less where wide.

    Without kernels, of `forward_change_rms` over `forward_rms`. Kernels are squares of features: features
    that move as N^-1/2 change theirs as 1/N, so there twice the exponent must be visible. And where neurons
    move in random directions, as in a first step, the change averages out but for chance, N^-1/2: for kernels
    exponents from -1/2 to 0 are correct, as of queries and keys. Layers at either side of one of fixed size
    inside of the network are left out: they begin small.
    """
    if measured.settings.limit == "standard":
        return Untested(claim=CLAIM, why="features of standard parametrization have no limit")
    quadratic = measured.has("feature_kernel", "layer", "step", "point", "point_b")
    late = max(early_step(measured), min(1, len(measured.steps) - 1))
    if not late:
        return Untested(claim=CLAIM, why="one step was recorded: record more of them")
    if quadratic:
        able = measured.some_steps(len(measured.steps), "feature_kernel")
        late = max([s for s in able if s <= late] or able[:1])
        late = able[1] if late == able[0] and len(able) > 1 else late
        if late == able[0]:
            return Untested(claim=CLAIM, why="`feature_kernel` was recorded at one step: record more of them")
        meters = _meters(measured, able[0], late)
    elif measured.has("forward_change_rms", "layer", "step") and measured.has("forward_rms", "layer", "step"):
        pairs = [measured.numbers(name) for name in ("forward_change_rms", "forward_rms")]
        with np.errstate(all="ignore"):
            ratios = [change[:, late] / whole[:, 0] for change, whole in zip(*pairs, strict=True)]
        layers = range(measured.records.sizes["layer"])
        meters = [[ratio[:, layer] for ratio in ratios] for layer in layers]
    else:
        return Untested(
            claim=CLAIM,
            why="the records have no `feature_kernel` and no `forward_change_rms` with `forward_rms`",
        )
    least = -0.5 if measured.settings.limit == "ntk" else 0.0
    laws, found = tensor_laws(measured), []
    attends = {law.name.rpartition(".")[0] for law in laws if law.feeds == "attention"}
    fixed = fixed_inside(laws) | {law.name.rpartition(".")[0] for law in laws if law.feeds == "output"}
    for name, meter in zip(measured.names("layer", "layer_name"), meters, strict=True):
        if name in fixed:
            continue
        where = {"layer": name, "step": int(measured.steps[late])}
        what = f"The relative change of features in layer `{name}` until step {where['step']}"
        test = exponent_test(
            measured,
            CLAIM,
            fit_positive(measured, meter),
            where,
            what=what,
            fix="features stand still, or run away, as the width grows; look at rates and the readout",
            low=least - 0.5 if quadratic or name in attends else least,
            high=least,
            useful=(2 if quadratic else 1) * measured.settings.visible_exponent,
        )
        found += [test] if test else []
    return found or Untested(claim=CLAIM, why="fewer than two widths have features that move")


def _meters(measured: EnsembleView, first: int, late: int) -> list[list[Float[np.ndarray, " _"]]]:
    """Of each layer, at each width."""
    ratios = []
    for width in range(len(measured.widths)):
        both = measured.read("feature_kernel", width, [first, late])  # (seed, step, layer, point, point_b)
        with np.errstate(all="ignore"):
            change, start = (
                (values**2).sum(axis=(-2, -1)) for values in (both[:, 1] - both[:, 0], both[:, 0])
            )
            ratio = np.sqrt(change / start)
        ratio[~(measured.usable(first)[width] & measured.usable(late)[width])] = np.nan
        ratios.append(ratio)
    return [[ratio[:, layer] for ratio in ratios] for layer in range(ratios[0].shape[1])]
