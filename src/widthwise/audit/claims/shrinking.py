"""Weight decay takes the same share of every tensor at every width."""

import numpy as np

from widthwise.analysis.gaps import Products, converging_gaps
from widthwise.analysis.verdict import OWN, Test
from widthwise.audit.claims.function_gaps import comparable, counting
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.audit.laws import TensorLaw

CLAIM = "scales"
ALLOWED = 0.1  # of the logarithm of a weight's size


def tests(measured: EnsembleView, laws: list[TensorLaw]) -> list[Test]:
    r"""For each tensor, $\log(\mathrm{rms}\, W_t / \mathrm{rms}\, W_0)$ at the last step at which networks
    live: from one width to the next it changes no more between the widest two than between the narrowest.

    What training adds to a weight fades against its initial value as N grows, so this ratio falls toward
    that of decay alone, in ever smaller steps. Decay that grows with the width makes the steps grow.
    """
    if not measured.has("weight_rms", "tensor", "step") or len(measured.steps) < 2:
        return []
    if measured.has("weight_decay", "step", "tensor"):
        return []  # the settings tell it without noise
    widths, steps = comparable(measured, range(len(measured.steps)))
    if len(widths) < 3 or steps[-1] == 0:
        return []
    numbers, counted = measured.numbers("weight_rms"), counting(measured, steps)
    found = []
    for index, law in enumerate(laws):
        ratios = []
        for width in widths:
            both = numbers[width][counted[width]][:, [0, steps[-1]], index]
            with np.errstate(all="ignore"):
                ratios.append(np.log(both[:, 1] / both[:, 0]))
        if all(len(r) > 1 and np.isfinite(r).all() for r in ratios):
            found.append(_test(measured, law, widths, ratios, int(measured.steps[steps[-1]])))
    return found


def _test(
    measured: EnsembleView, law: TensorLaw, widths: list[int], ratios: list[np.ndarray], step: int
) -> Test:
    flat = np.concatenate(ratios)
    owner = np.repeat(np.arange(len(widths)), [len(r) for r in ratios])
    products = Products(tuple(measured.widths[w] for w in widths), owner, np.outer(flat, flat))
    test = converging_gaps(products, least=0.0, allowed=ALLOWED)
    assert test is not None
    means = [float(r.mean()) for r in ratios]
    shrinks = means[-1] < means[-2]
    sizes = ", ".join(
        f"{np.exp(m):.2g} at N = {measured.widths[w]}" for w, m in zip(widths, means, strict=True)
    )
    return Test(
        claim=CLAIM,
        where={
            "tensor": law.name,
            "quantity": "weight_rms over its initial value",
            "step": step,
            "rule": "weight_decay" if shrinks else "growth of weights",
            "unit": "logarithm of the ratio",
        },
        estimate=means[-1] - means[-2],
        interval=(means[-1] - means[-2] - 2 * test.noise, means[-1] - means[-2] + 2 * test.noise),
        expected=0.0,
        p_value=test.p_value,
        power=test,
        useful=1.0,
        advice_good=f"The weights of `{law.name}` do not change ever more with the width ({sizes}).",
        advice_bad=f"The weights of `{law.name}` "
        + ("shrink faster the wider the network" if shrinks else "grow ever more with the width")
        + f" ({sizes}): "
        + ("weight decay must not grow with the width." if shrinks else "its learning rate scales wrongly."),
        depth=OWN if shrinks else OWN + 1,
        core=False,
    )
