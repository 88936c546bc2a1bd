"""Features move as far at every width."""

import numpy as np
from jaxtyping import Float

from widthwise.audit.claim import Test, Untested
from widthwise.audit.claims.exponents import exponent_test
from widthwise.audit.claims.scales import early_step, layer_names
from widthwise.audit.measured import Measured

CLAIM = "richness"


def tests(measured: Measured) -> list[Test] | Untested:
    r"""The exponent of $|\Phi_t - \Phi_0| / |\Phi_0|$, Frobenius norms of each network's feature kernel, is
    0 at the last step at which the losses of all widths still agree: features learn, and no less where wide.

    Without kernels, of `forward_change_rms` over `forward_rms`. Kernels are squares of features: features
    that move as N^-1/2 change theirs as 1/N, so there twice the exponent must be visible.
    """
    quadratic = measured.has("feature_kernel", "layer", "step", "point", "point_b")
    late = max(early_step(measured), min(1, len(measured.steps) - 1))
    if not late:
        return Untested(claim=CLAIM, why="one step was recorded: record more of them")
    if quadratic:
        meters = [_meter(measured, layer, late) for layer in range(len(layer_names(measured)))]
    elif measured.has("forward_change_rms", "layer", "step") and measured.has("forward_rms", "layer", "step"):
        pairs = [measured.numbers(name) for name in ("forward_change_rms", "forward_rms")]
        with np.errstate(all="ignore"):
            ratios = [change[:, late] / whole[:, 0] for change, whole in zip(*pairs, strict=True)]
        meters = [[ratio[:, layer] for ratio in ratios] for layer in range(len(layer_names(measured)))]
    else:
        return Untested(
            claim=CLAIM,
            why="the records have no `feature_kernel` and no `forward_change_rms` with `forward_rms`",
        )
    found = []
    for name, meter in zip(layer_names(measured), meters, strict=True):
        where = {"layer": name, "step": int(measured.steps[late])}
        what = f"The relative change of features in layer `{name}` until step {where['step']}"
        test = exponent_test(
            measured,
            CLAIM,
            meter,
            where,
            what=what,
            fix="features stand still, or run away, as the width grows; look at rates and the readout",
            useful=(2 if quadratic else 1) * measured.settings.visible_exponent,
        )
        found += [test] if test else []
    return found or Untested(claim=CLAIM, why="fewer than two widths have features that move")


def _meter(measured: Measured, layer: int, late: int) -> list[Float[np.ndarray, " _"]]:
    found = []
    for width in range(len(measured.widths)):
        first, last = (measured.read("feature_kernel", width, [s], layer)[:, 0] for s in (0, late))
        with np.errstate(all="ignore"):
            ratio = np.sqrt(((last - first) ** 2).sum(axis=(1, 2)) / (first**2).sum(axis=(1, 2)))
        ratio[~(measured.usable(0)[width] & measured.usable(late)[width])] = np.nan
        found.append(ratio)
    return found
