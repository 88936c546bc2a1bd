"""One claim about correct networks a file; `CLAIMS` is the table of all."""

from collections.abc import Callable

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

Claim = Callable[[EnsembleView], list[Test] | Untested]
Description = Callable[[EnsembleView], list[Test]]

# Claims that the verdict waits for; the others may stay open.
CORE = ("training_setup", "scales", "attention", "richness")

CLAIMS: dict[str, Claim] = {
    "training_setup": training_setup.tests,
    "scales": scales.tests,
    "loss_curves": loss_curves.tests,
    "predictions": predictions.tests,
    "feature_kernel": kernels.tests,
    "kernel_change": kernels.change_tests,
    "preactivations": preactivations.tests,
    "attention": attention.tests,
    "variance_scaling": variance.tests,
    "narrow_bias": bias.tests,
    "large_rate": large_rate.tests,
    "spectra": spectra.tests,
    "richness": richness.tests,
    "training_rate": training_rate.tests,
    "onset": onset.tests,
}

# What is told beside a claim's tests: numbers of each width without a p-value, which judge nothing.
DESCRIPTIONS: dict[str, tuple[Description, ...]] = {
    "loss_curves": (limits.descriptions,),
    "predictions": (infinite_width.descriptions, classes.descriptions),
    "feature_kernel": (spread.descriptions,),
    "preactivations": (preactivation_shapes.descriptions,),
    "attention": (heads.descriptions,),
    "large_rate": (sharpening.descriptions,),
    "spectra": (mean_kernel.descriptions,),
    "training_rate": (limits.rate_descriptions,),
}
