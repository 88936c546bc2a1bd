"""The one vocabulary: names, dimensions and meanings of every variable in theory and records."""

from dataclasses import dataclass

SCHEMA_VERSION = 1


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
    "step": Variable(("step",), "training step, 0 is initialization"),
    "point": Variable(("point",), "point, training points first"),
    "point_b": Variable(("point_b",), "second point of a kernel"),
    "output": Variable(("output",), "component of the network output"),
    "layer": Variable(("layer",), "hidden layer, 1 next to the input"),
    "richness": Variable(("richness",), "richness gamma of a scan, ascending; small is lazy, large is rich"),
    "split": Variable(("point",), "whether a point is trained or tested on"),
}

# Companions of a variable `v`: `v_variance` is N times its variance over initializations, `v_shift` is
# N (mean at width N - infinite-width value); each and `v` itself has a numerical standard error.
COMPANIONS = ("stderr", "variance", "variance_stderr", "shift", "shift_stderr")
