"""How far single networks' kernels are from their mean at each width."""

from widthwise.analysis.ensembling import variance_exponent
from widthwise.analysis.verdict import Test
from widthwise.audit.claims.function_gaps import comparable
from widthwise.audit.claims.width_exponent import power
from widthwise.audit.ensemble_view import EnsembleView, NothingToCompare

CLAIM, NAME = "feature_kernel", "feature_kernel"


def descriptions(measured: EnsembleView) -> list[Test]:
    r"""For each layer, the exponent of the relative Frobenius distance of one network's $\Phi^l$ from the
    mean of its width at the last step: $N^{-1/2}$ in theory, where means differ by $N^{-1}$."""
    if not measured.has(NAME, "layer", "step", "point", "point_b"):
        return []
    widths, steps = comparable(measured, measured.some_steps(measured.settings.most_steps, NAME))
    usable, found = measured.usable(steps[-1]), []
    blocks = [measured.read(NAME, w, steps[-1:])[usable[w]][:, 0] for w in widths]  # (seed, layer, ...)
    for layer, name in enumerate(measured.names("layer", "layer_name")):
        try:
            products = measured.products(widths, iter([[kernels[:, layer] for kernels in blocks]]))
        except NothingToCompare:
            continue
        variances = [products.variance(w) for w in range(len(widths))]
        if len(widths) < 2 or not all(v > 0 for v in variances):
            continue
        exponent = variance_exponent(products).overall
        low, high = exponent.interval(measured.alpha)
        sizes = [(v / products.mean_size(at)) ** 0.5 for at, v in enumerate(variances)]
        found.append(
            Test(
                claim=CLAIM,
                where={
                    "layer": name,
                    "quantity": "single networks",
                    "step": int(measured.steps[steps[-1]]),
                    "unit": "exponent",
                },
                estimate=-exponent.value / 2,
                interval=(-high / 2, -low / 2),
                expected=-0.5,
                advice_good=f"One network's kernel of `{name}` is {sizes[0]:.2g} of its size from the mean "
                f"at N = {products.widths[0]} and {sizes[-1]:.2g} at N = {products.widths[-1]}: as "
                f"{power(-exponent.value / 2)}.",
            )
        )
    return found
