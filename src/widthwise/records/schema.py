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

# Companions of a variable `v`: `v_variance` is N times its variance over initializations, `v_shift` is
# N (mean at width N - infinite-width value); each and `v` itself has a numerical standard error.
COMPANIONS = ("stderr", "variance", "variance_stderr", "shift", "shift_stderr")
