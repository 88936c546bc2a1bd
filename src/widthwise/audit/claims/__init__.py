"""One claim about correct networks a file; `CLAIMS` is the table of all."""

from collections.abc import Callable

from widthwise.audit.claim import Test, Untested
from widthwise.audit.claims import (
    attention,
    bias,
    kernels,
    large_rate,
    loss,
    onset,
    preactivations,
    predictions,
    richness,
    scales,
    spectra,
    training_rate,
    variance,
)
from widthwise.audit.measured import Measured

Claim = Callable[[Measured], list[Test] | Untested]

CLAIMS: dict[str, Claim] = {
    "scales": scales.tests,
    "loss_curves": loss.tests,
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
