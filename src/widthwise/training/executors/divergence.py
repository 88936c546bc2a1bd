"""What is said of networks that diverged."""

import numpy as np

from widthwise.progress import Progress


def report_divergence(width: int, diverged_at: np.ndarray, progress: Progress) -> None:
    """One line, if any network of this width diverged; `diverged_at` is -1 for those that did not."""
    bad = diverged_at[diverged_at >= 0]
    if not bad.size:
        return
    if bad.min() == 0:
        what = "are not finite before the first step: are inputs, targets or a scale of `network` too large?"
    else:
        advice = "lower `training.learning_rate` if that is not what you study"
        what = f"diverged, first at step {bad.min()}; {advice}"
    progress.say(f"width {width}: {bad.size} of {diverged_at.size} networks {what}")
