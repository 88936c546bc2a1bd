"""What is studied, as plain frozen data. Every table of a study file is one class here."""

from dataclasses import dataclass
from typing import Literal

DataKind = Literal[
    "arrays",
    "digits",
    "synthetic",
    "mnist1d",
    "image_folder",
    "cifar5m",
    "tokens",
    "text",
    "huggingface",
]
SyntheticTask = Literal["single_index", "fourier", "sphere"]
NetworkKind = Literal["mlp", "cnn", "resnet", "transformer"]
Parametrization = Literal["mean_field", "ntk", "standard"]
Activation = Literal["linear", "relu", "tanh", "erf", "gelu", "softplus"]
Normalization = Literal["group", "batch"]
Optimizer = Literal["gd", "sgd", "momentum", "adam", "adamw", "gradient_flow"]
Schedule = Literal["constant", "cosine", "step"]
LearningRule = Literal["backpropagation", "feedback_alignment", "direct_feedback_alignment"]
Loss = Literal["mse", "cross_entropy"]
Reduction = Literal["sum", "mean"]
TheoryQuantity = Literal["prediction", "loss", "feature_kernel", "gradient_kernel", "tangent_kernel"]
Quantity = Literal[
    "prediction",
    "loss",
    "feature_kernel",
    "gradient_kernel",
    "tangent_kernel",
    "batch_loss",
    "example_loss",
    "tangent_kernel_eigenvalue",
    "task_power",
    "preactivation_quantile",
    "attention",
    "sharpness",
    "weight_rms",
    "gradient_rms",
    "update_rms",
    "forward_rms",
    "forward_change_rms",
]
KeptParameters = Literal["none", "final", "recorded"]
Executor = Literal["process", "ray"]
Precision = Literal["float32", "float64"]

DEFAULT_QUANTITIES: tuple[TheoryQuantity, ...] = ("prediction", "loss", "feature_kernel", "tangent_kernel")
STREAM_QUANTITIES: tuple[Quantity, ...] = (
    "prediction",
    "loss",
    "batch_loss",
    "feature_kernel",
    "forward_rms",
    "forward_change_rms",
    "weight_rms",
    "update_rms",
)
FULL_BATCH_QUANTITIES: tuple[Quantity, ...] = (
    "prediction",
    "loss",
    "feature_kernel",
    "tangent_kernel",
    "forward_rms",
    "forward_change_rms",
    "weight_rms",
    "update_rms",
)
TEXT_KINDS: tuple[DataKind, ...] = ("tokens", "text")


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Where points come from; which fields matter depends on `kind`.

    - `arrays`: `path`, an .npz with x_train (P, D), y_train (P,) or (P, C), optional x_test, y_test.
    - `digits`: scikit-learn's 8 x 8 digits, `classes`, `train` and `test` points in all (balanced).
    - `synthetic`: `task` in `dimension` dimensions, `train` and `test` points.
    - `mnist1d`: the endless one-dimensional digits of the package `mnist1d`, 40 numbers each, ten classes.
    - `image_folder`: `path`, a folder with one folder a class (or with `train` and `test` folders of such),
      images of any size, resized to `size` x `size` x 3.
    - `cifar5m`: `path`, a folder of .npz parts with X (n, 32, 32, 3) bytes and Y (n,), read in order.
    - `tokens`: `path`, a text file or a folder of *.tokens, words separated by blanks; the `vocabulary` most
      frequent words are kept, the others are one word, "<unk>".
    - `text`: `path`, a text file read as characters; without a path Python's own help topics.
    - `huggingface`: `path`, a data set's name or a folder of local files, through the package `datasets`.

    `order` "offline" trains on `train` points again and again; "online" sees every sample once, in the same
    order for all networks, and `train` does not count. `test` points are held out and never trained on; for
    texts a point is a window of `sequence_length` tokens.
    """

    kind: DataKind = "digits"
    path: str | None = None
    classes: tuple[int, ...] = (3, 8)
    task: SyntheticTask = "single_index"
    dimension: int = 10
    order: Literal["offline", "online"] = "offline"
    train: int = 16
    test: int = 0
    size: int = 32
    sequence_length: int = 64
    vocabulary: int = 1024
    subset: str | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """A network; which fields matter depends on `kind`.

    - `mlp`: a perceptron with `hidden_layers` layers and no biases; the only kind that theory treats.
    - `cnn`: `hidden_layers` 3 x 3 convolutions, average pooling, a dense readout; width = channels.
    - `resnet`: ResNet with `blocks` residual blocks in each of its stages, width = channels of the first
      stage (each further stage has twice as many), `normalization`, and `preactivation` blocks or those
      with normalization after each convolution.
    - `transformer`: decoder with `hidden_layers` blocks; width = size of the residual stream, `heads` heads
      of growing size, or, if `head_size` is not 0, heads of that size in growing number.

    `richness` is gamma: the output is divided by it, so that gamma -> 0 is the lazy limit.
    `activation_scale` a and `activation_gain` g mean phi(h) = g act(a h) / a.
    `parametrization` says how initialization, multipliers and learning rates change with width; at
    `base_width` all three are the same. `readout` "zero" starts the last layer at zero.
    `centered` subtracts the output at initialization, for everything that is trained and recorded.
    """

    kind: NetworkKind = "mlp"
    hidden_layers: int = 1
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    activation: Activation = "tanh"
    activation_scale: float = 1.0
    activation_gain: float = 1.0
    normalization: Normalization = "group"
    preactivation: bool = True
    heads: int = 4
    head_size: int = 0
    tied_embeddings: bool = False
    parametrization: Parametrization = "mean_field"
    base_width: int = 64
    readout: Literal["normal", "zero"] = "normal"
    richness: float = 1.0
    centered: bool = True


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Training; step 0 is initialization, so arrays have steps 0 .. steps - 1.

    "gd" is full-batch gradient descent; in a mean-field perceptron every weight moves by
    `learning_rate * richness**2 * N` times minus its gradient each step. `gradient_flow` integrates the same
    in time, one unit of time = 1 / learning_rate steps, by `substeps` classical Runge-Kutta steps between
    recorded steps. "sgd", "momentum", "adam" and "adamw" take `batch` samples a step; `weight_decay` is
    decoupled and the same at every width; `clip` bounds the norm of the gradient, 0 for no bound (each
    squared gradient weighted with its tensor's relative rate: the bound means the same at every width).
    The rate rises linearly over the first `warmup` steps and then follows `schedule`: "cosine" to zero at the
    last step, "step" multiplied by `decay_factor` at each of `decay_steps`.
    `learning_rule` says what the errors travel back through: the weights ("backpropagation"), frozen random
    matrices in their place ("feedback_alignment"), or one frozen random vector for each output straight to
    every layer ("direct_feedback_alignment"); with the latter two, theory has no order 1/N.
    """

    optimizer: Optimizer = "gd"
    learning_rule: LearningRule = "backpropagation"
    learning_rate: float = 0.1
    steps: int = 100
    batch: int = 64
    momentum: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    weight_decay: float = 0.0
    clip: float = 0.0
    schedule: Schedule = "constant"
    warmup: int = 0
    decay_steps: tuple[int, ...] = ()
    decay_factor: float = 0.1
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
    observables: tuple[TheoryQuantity, ...] = DEFAULT_QUANTITIES
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
    """What is kept, and at which steps: "all", "log" (about eight a decade) or a list.

    By "default" what costs little: predictions, losses, feature kernels, and scales of every tensor, at
    logarithmic steps; of perceptrons that have all of their fixed points in every step also tangent kernels,
    and every step.
    `train_points` of the training points are among the recorded points, at most as many as there are (none of
    an online stream); all of them where training is full-batch. `modes` of the tangent kernel's spectrum are
    kept. `parameters` keeps the weights of the last step or of every recorded one beside the records.
    """

    steps: Literal["default", "all", "log"] | tuple[int, ...] = "default"
    quantities: Literal["default"] | tuple[Quantity, ...] = "default"
    train_points: int = 64
    modes: int = 32
    parameters: KeptParameters = "none"


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """Where and how cells are run; no result depends on it.

    `executor`: this process, or the tasks of a Ray cluster at `address` (a new one on this machine if not
    given), a cell each, with `cpus` and `gpus` reserved and up to `retries` restarts. A checkpoint is written
    inside a cell every `checkpoint_minutes`: a killed process loses so much, and the up to 64 steps since, of
    full-batch perceptrons up to 1024.
    """

    executor: Executor = "process"
    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    retries: int = 3
    checkpoint_minutes: float = 2.0
