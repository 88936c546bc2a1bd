"""How the seeds' mean tangent kernel would learn the task, against that of the widest networks."""

import numpy as np
from jaxtyping import Float

from widthwise.analysis.seeds import bootstrap_counts, recentered_interval
from widthwise.analysis.spectrum_exchange import residual_curves, residual_times
from widthwise.analysis.verdict import Test
from widthwise.audit.claims.function_gaps import comparable
from widthwise.audit.claims.kernel_modes import KERNEL, has_kernels, kernels_at, modes_of
from widthwise.audit.ensemble_view import EnsembleView
from widthwise.wording import percent

CLAIM = "spectra"
DRAWS = 100
MOST = 0.9  # share of the task that is counted in modes

Kernels = Float[np.ndarray, "_ point point"]


def descriptions(measured: EnsembleView) -> list[Test]:
    r"""Of each width but the widest, at the last step: where the residual curves
    $R(t) = \sum_k c_k e^{-2 \lambda_k t}$ of both mean kernels are furthest apart, and how many modes hold
    90 % of the task, $C(k) = \sum_{j \le k} c_j \ge 0.9$. Averaging over seeds removes what scatters in a
    kernel; what is left is the bias of narrower width. Nothing without `tangent_kernel` and targets."""
    if not has_kernels(measured):
        return []
    widths, steps = comparable(measured, measured.some_steps(measured.settings.most_steps, KERNEL))
    kernels, targets = kernels_at(measured, widths, steps[-1])
    if targets is None or not targets.any() or len(widths) < 2 or any(not len(each) for each in kernels):
        return []
    means = [modes_of(kernel.mean(axis=0, keepdims=True), targets) for kernel in kernels]
    times = residual_times([values for values, _ in means])
    curves = [residual_curves(*mean, times)[0] for mean in means]
    modes = [_modes_of_most(powers[0]) for _, powers in means]
    rng = np.random.default_rng(measured.settings.seed)
    draws = [_resampled(kernel, targets, times, rng) for kernel in kernels]
    found, last = [], measured.widths[widths[-1]]
    for index, width in enumerate(widths[:-1]):
        at = int(np.abs(curves[index] - curves[-1]).argmax())
        narrow, wide = curves[index][at], curves[-1][at]
        n, gap = measured.widths[width], float(narrow - wide)
        moved = draws[index][:, at] - draws[-1][:, at]
        found.append(
            Test(
                claim=CLAIM,
                where={
                    "quantity": "residual curve of the mean kernel",
                    "step": int(measured.steps[steps[-1]]),
                    "width": n,
                    "against": last,
                },
                estimate=gap,
                interval=recentered_interval(moved, gap, measured.alpha),
                expected=0.0,
                advice_good=f"Where they are furthest apart the mean kernel of N = {n} leaves {narrow:.2g} "
                f"of the task, that of N = {last} {wide:.2g}; {percent(MOST)} of the task lies in "
                f"{modes[index]} of its {len(targets)} modes, of N = {last} in {modes[-1]}.",
            )
        )
    return found


def _modes_of_most(powers: Float[np.ndarray, " mode"]) -> int:
    """How many leading modes hold `MOST` of the task."""
    cumulative = np.cumsum(powers) / powers.sum()
    return int(np.searchsorted(cumulative, MOST * (1 - 1e-12)) + 1)


def _resampled(
    kernels: Kernels,
    targets: Float[np.ndarray, "point output"],
    times: Float[np.ndarray, " time"],
    rng: np.random.Generator,
) -> Float[np.ndarray, "draw time"]:
    """Residual curves of the mean kernels of seeds drawn anew; the estimate alone of one seed has none."""
    counts = bootstrap_counts(len(kernels), DRAWS, rng) / len(kernels)
    means = np.einsum("ds,sab->dab", counts, kernels)
    return residual_curves(*modes_of(means, targets), times)
