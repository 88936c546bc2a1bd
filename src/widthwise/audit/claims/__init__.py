"""One claim about correct networks a file; `CLAIMS` is the table of all."""

from collections.abc import Callable

from widthwise.audit.claim import Test, Untested
from widthwise.audit.claims import loss, predictions, scales
from widthwise.audit.measured import Measured

Claim = Callable[[Measured], list[Test] | Untested]

CLAIMS: dict[str, Claim] = {
    "scales": scales.tests,
    "loss_curves": loss.tests,
    "predictions": predictions.tests,
}
