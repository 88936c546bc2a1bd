"""One claim about correct networks a file; `CLAIMS` is the table of all."""

from collections.abc import Callable
from dataclasses import dataclass

from widthwise.analysis.verdict import Test, Untested
from widthwise.audit.claims import (
    attention,
    bias,
    classes,
    heads,
    infinite_width,
    kernels,
    large_rate,
    limits,
    loss_curves,
    mean_kernel,
    onset,
    preactivation_shapes,
    preactivations,
    predictions,
    richness,
    scales,
    sharpening,
    spectra,
    spread,
    training_rate,
    training_setup,
    variance,
)
from widthwise.audit.ensemble_view import EnsembleView

EXPONENT = "exponent of the width N"


@dataclass(frozen=True)
class Claim:
    """A claim about correct networks: a new one is a file beside this one, and a line in `CLAIMS`.

    **Fields:** `name`, as records of verdicts and `--claims` have it; `title`, as a reader calls it;
    `tests`, its hypotheses, measured but not yet judged, or why there are none; `unit` of estimates whose
    place does not say it; `core`, whether the verdict waits for it, where others may stay open;
    `descriptions`, what is told beside its tests: numbers of each width that judge nothing.
    """

    name: str
    title: str
    tests: Callable[[EnsembleView], list[Test] | Untested]
    unit: str = "estimate"
    core: bool = False
    descriptions: tuple[Callable[[EnsembleView], list[Test]], ...] = ()


CLAIMS = {
    claim.name: claim
    for claim in (
        Claim("training_setup", "Set-up of training", training_setup.tests, core=True),
        Claim("scales", "Scales of tensors and layers", scales.tests, EXPONENT, core=True),
        Claim("loss_curves", "Loss curves", loss_curves.tests, descriptions=(limits.descriptions,)),
        Claim(
            "predictions",
            "Predictions",
            predictions.tests,
            descriptions=(infinite_width.descriptions, classes.descriptions),
        ),
        Claim("feature_kernel", "Feature kernels", kernels.tests, descriptions=(spread.descriptions,)),
        Claim("kernel_change", "Change of kernels", kernels.change_tests),
        Claim(
            "preactivations",
            "Distribution of preactivations",
            preactivations.tests,
            descriptions=(preactivation_shapes.descriptions,),
        ),
        Claim("attention", "Attention", attention.tests, core=True, descriptions=(heads.descriptions,)),
        Claim("variance_scaling", "Variance over initializations", variance.tests, EXPONENT),
        Claim("narrow_bias", "Bias of narrower width", bias.tests, "loss, relative to the wider network's"),
        Claim(
            "large_rate",
            "Large learning rate",
            large_rate.tests,
            "share of networks",
            descriptions=(sharpening.descriptions,),
        ),
        Claim("spectra", "Spectra and task power", spectra.tests, descriptions=(mean_kernel.descriptions,)),
        Claim("richness", "Richness", richness.tests, EXPONENT, core=True),
        Claim(
            "training_rate",
            "Rate of training",
            training_rate.tests,
            descriptions=(limits.rate_descriptions,),
        ),
        Claim("onset", "Onset of deviation", onset.tests, "step"),
    )
}
