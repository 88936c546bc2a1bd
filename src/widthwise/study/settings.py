"""What is studied, as plain frozen data. Every table of a study file is one class here."""

from dataclasses import dataclass
from typing import Literal

DataKind = Literal["arrays", "digits", "synthetic"]
SyntheticTask = Literal["single_index", "fourier", "sphere"]
Activation = Literal["linear", "relu", "tanh", "erf", "gelu", "softplus"]
Optimizer = Literal["gd", "gradient_flow"]
LearningRule = Literal["backpropagation", "feedback_alignment", "direct_feedback_alignment"]
Loss = Literal["mse", "cross_entropy"]
Reduction = Literal["sum", "mean"]
Quantity = Literal["prediction", "loss", "feature_kernel", "gradient_kernel", "tangent_kernel"]
Precision = Literal["float32", "float64"]

DEFAULT_QUANTITIES: tuple[Quantity, ...] = ("prediction", "loss", "feature_kernel", "tangent_kernel")


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Where points come from; which fields matter depends on `kind`.

    - `arrays`: `path`, an .npz with x_train (P, D), y_train (P,) or (P, C), optional x_test, y_test.
    - `digits`: scikit-learn's 8 x 8 digits, `classes`, `train` and `test` points in all (balanced).
    - `synthetic`: `task` in `dimension` dimensions, `train` and `test` points.
    """

    kind: DataKind = "digits"
    path: str | None = None
    classes: tuple[int, ...] = (3, 8)
    task: SyntheticTask = "single_index"
    dimension: int = 10
    train: int = 16
    test: int = 0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """A multilayer perceptron in mean-field parametrization.

    `richness` is gamma: the output is divided by it, so that gamma -> 0 is the lazy limit.
    `activation_scale` a and `activation_gain` g mean phi(h) = g act(a h) / a.
    """

    kind: Literal["mlp"] = "mlp"
    hidden_layers: int = 1
    activation: Activation = "tanh"
    activation_scale: float = 1.0
    activation_gain: float = 1.0
    parametrization: Literal["mean_field"] = "mean_field"
    richness: float = 1.0
    centered: bool = True


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Full-batch training; step 0 is initialization, so arrays have steps 0 .. steps - 1.

    Every weight moves by `learning_rate * richness**2 * N` times minus its gradient each step.
    `gradient_flow` integrates the same in time, one unit of time = 1 / learning_rate steps, by
    `substeps` classical Runge-Kutta steps between recorded steps.
    `learning_rule` says what the errors travel back through: the weights ("backpropagation"), frozen random
    matrices in their place ("feedback_alignment"), or one frozen random vector for each output straight to
    every layer ("direct_feedback_alignment"); with the latter two, theory has no order 1/N.
    """

    optimizer: Optimizer = "gd"
    learning_rule: LearningRule = "backpropagation"
    learning_rate: float = 0.1
    steps: int = 100
    loss: Loss = "mse"
    reduction: Reduction = "sum"
    substeps: int = 2

    def point_rate(self, train: int) -> float:
        """The rate at which each of `train` points pulls: a mean over points divides `learning_rate`."""
        return self.learning_rate / (train if self.reduction == "mean" else 1)


@dataclass(frozen=True, kw_only=True)
class TheorySettings:
    """How finely the theory is solved.

    `sites` single-site samples in each of `scramblings` independent scrambled Sobol sequences give the
    infinite-width values; `fluctuation_sites` in each give variances and shifts, 0 meaning as many as the
    number of data points affords. The scatter between scramblings is the standard error of every number.
    `richness_scan`: further values of the richness at which predictions and losses of the last recorded step
    are solved, so that signal and noise can be seen against it; empty for none.
    """

    sites: int = 4096
    fluctuation_sites: int = 0
    scramblings: int = 8
    seed: int = 0
    observables: tuple[Quantity, ...] = DEFAULT_QUANTITIES
    richness_scan: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class EnsembleSettings:
    """Which finite networks are trained. A cell is (study, width, block of `seeds_per_cell` seeds)."""

    widths: tuple[int, ...] = (32, 64, 128, 256)
    seeds: int = 64
    seed: int = 0
    seeds_per_cell: int = 32
    precision: Precision = "float32"


@dataclass(frozen=True, kw_only=True)
class RecordSettings:
    """What is kept, and at which steps: "all", "log" (about eight a decade) or a list."""

    steps: Literal["all", "log"] | tuple[int, ...] = "all"
    quantities: tuple[Quantity, ...] = DEFAULT_QUANTITIES
