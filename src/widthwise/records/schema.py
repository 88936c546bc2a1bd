"""The one vocabulary: names, dimensions and meanings of every variable in theory and records."""

from collections.abc import Iterable
from dataclasses import dataclass

SCHEMA_VERSION = 1
SWEEP = "sweep.nc"  # what a sweep writes beside the runs of its values


@dataclass(frozen=True)
class Variable:
    """One named quantity: dimensions after (`width`, `seed`) in records, or alone in theory."""

    dims: tuple[str, ...]
    long_name: str


VARIABLES: dict[str, Variable] = {
    "prediction": Variable(("step", "point", "output"), "network output f"),
    "loss": Variable(("step", "split"), "loss over the points of a split, reduced as in the study"),
    "feature_kernel": Variable(("layer", "step", "point", "point_b"), "feature kernel Phi^l at equal times"),
    "gradient_kernel": Variable(
        ("layer", "step", "point", "point_b"), "gradient kernel G^l at equal times, mean over outputs"
    ),
    "tangent_kernel": Variable(("step", "point", "point_b"), "tangent kernel K, mean over outputs"),
    "prediction_two_time_covariance": Variable(
        ("step", "step_b", "point", "output"), "N Cov(f(t), f(s)) of one point and output"
    ),
}

# Variables that only records have, in the precision of training; what each is, `training/measures` says.
RECORD_VARIABLES: dict[str, Variable] = {
    "batch_loss": Variable(("step",), "loss of the batch that the step trains on, before it does"),
    "example_loss": Variable(("step", "point"), "loss of each point alone"),
    "tangent_kernel_eigenvalue": Variable(
        ("step", "mode"), "eigenvalues of the tangent kernel over P, of the recorded training points"
    ),
    "task_power": Variable(
        ("step", "mode"), "squared projection of the targets on that eigenvector, summed over outputs"
    ),
    "preactivation_quantile": Variable(
        ("step", "layer", "point", "quantile"), "quantiles of preactivations over neurons and positions"
    ),
    "attention": Variable(
        ("step", "block", "head", "query", "key"), "attention weights at the first recorded point"
    ),
    "sharpness": Variable(("step",), "largest eigenvalue of R^1/2 H R^1/2, R the learning rates"),
    "sharpness_residual": Variable(("step",), "norm of A v - lambda v of the sharpness and its eigenvector"),
    "weight_rms": Variable(("step", "tensor"), "root mean square of the entries of a weight tensor"),
    "gradient_rms": Variable(("step", "tensor"), "root mean square of the loss's gradient"),
    "update_rms": Variable(("step", "tensor"), "root mean square of one step's change of the weights"),
    "update_effect_rms": Variable(
        ("step", "tensor"), "root mean square of what one step's change of a tensor changes at its output"
    ),
    "forward_rms": Variable(
        ("step", "layer"), "root mean square of preactivations over points, positions and neurons"
    ),
    "forward_change_rms": Variable(
        ("step", "layer"), "root mean square of preactivations minus those at initialization"
    ),
}

# All that may depend on (width, seed).
QUANTITIES: dict[str, Variable] = VARIABLES | RECORD_VARIABLES

# What is recorded beside a quantity, unasked: its error.
RECORDED_WITH: dict[str, tuple[str, ...]] = {"sharpness": ("sharpness_residual",)}


def with_errors(quantities: Iterable[str]) -> tuple[str, ...]:
    """The quantities, and then what is recorded beside them."""
    asked = tuple(quantities)
    return (*asked, *(beside for name in asked for beside in RECORDED_WITH.get(name, ())))


# Levels of the recorded quantiles: symmetric, finer in the tails, dense enough for distances between
# distributions (Wasserstein-1 by the trapezoidal rule).
_LOWER = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45)
QUANTILE_LEVELS: tuple[float, ...] = (*_LOWER, 0.5, *(round(1 - level, 3) for level in reversed(_LOWER)))

# A theory's scan over the richness: the last recorded step of the same study at each of them.
SCAN_VARIABLES: dict[str, Variable] = {
    "scan_prediction": Variable(
        ("richness", "point", "output"), "network output f at the last recorded step, against the richness"
    ),
    "scan_loss": Variable(("richness", "split"), "loss at the last recorded step, against the richness"),
}

# Dimensions that every variable in records has before its own.
RECORD_DIMS = ("width", "seed")

# Variables that only records have; their dimensions are complete as they stand.
BOOKKEEPING: dict[str, Variable] = {
    "done": Variable(RECORD_DIMS, "whether this network is trained and all of it is recorded"),
    "diverged_at": Variable(
        RECORD_DIMS, "first recorded step that was not finite, -1 if none; NaN from there on"
    ),
    "target": Variable(("point", "output"), "target y"),
}

COORDINATES: dict[str, Variable] = {
    "width": Variable(("width",), "neurons N of every hidden layer"),
    "seed": Variable(("seed",), "index of the initialization"),
    "family": Variable(
        ("width", "seed"),
        "networks of a family share initial weights across widths; -1 where there is none",
    ),
    "step": Variable(("step",), "training step, 0 is initialization"),
    "point": Variable(("point",), "point, training points first"),
    "point_b": Variable(("point_b",), "second point of a kernel"),
    "output": Variable(("output",), "component of the network output"),
    "layer": Variable(("layer",), "hidden layer, 1 next to the input"),
    "layer_name": Variable(("layer",), "name of a layer, by its place in the network"),
    "richness": Variable(("richness",), "richness gamma of a scan, ascending; small is lazy, large is rich"),
    "mode": Variable(("mode",), "eigenvector of the tangent kernel, 0 the largest eigenvalue"),
    "quantile": Variable(("quantile",), "level of a quantile, the fraction that lies below"),
    "tensor": Variable(("tensor",), "weight tensor, by its place in the network"),
    "tensor_role": Variable(("tensor",), "which sides of a tensor grow: input, hidden, readout, scalar"),
    "tensor_feeds": Variable(
        ("tensor",), "what a tensor's output feeds: network, output, attention, gate, or tied to an embedding"
    ),
    "tensor_weight_exponent": Variable(
        ("tensor",), "power of the width in weight_rms at initialization in mean_field (muP), NaN if zero"
    ),
    "tensor_update_exponent": Variable(
        ("tensor",), "power of the width in update_rms in mean_field (muP) with the study's optimizer"
    ),
    "block": Variable(("block",), "block of a transformer that has attention, in order"),
    "head": Variable(("head",), "attention head"),
    "query": Variable(("query",), "position that attends"),
    "key": Variable(("key",), "position attended to"),
    "split": Variable(("point",), "whether a point is trained or tested on"),
}

# Companions of a variable `v`: `v_variance` is N times its variance over initializations, `v_shift` is
# N (mean at width N - infinite-width value); each and `v` itself has a numerical standard error.
COMPANIONS = ("stderr", "variance", "variance_stderr", "shift", "shift_stderr")
