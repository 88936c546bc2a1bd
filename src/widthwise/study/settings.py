"""What is studied, as plain frozen data. Every table of a study file is one class here."""

from dataclasses import dataclass
from typing import Annotated, Literal

from widthwise.study.rules import bounds, different, must

DataKind = Literal[
    "arrays", "digits", "synthetic", "mnist1d", "image_folder", "cifar5m", "tokens", "text", "huggingface"
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
Coupling = Literal["independent", "nested"]
Executor = Literal["process", "ray"]
Precision = Literal["float32", "float64"]

DEFAULT_QUANTITIES: tuple[TheoryQuantity, ...] = ("prediction", "loss", "feature_kernel", "tangent_kernel")
_SCALES: tuple[Quantity, ...] = ("forward_rms", "forward_change_rms", "weight_rms", "update_rms")
STREAM_QUANTITIES: tuple[Quantity, ...] = ("prediction", "loss", "batch_loss", "feature_kernel", *_SCALES)
FULL_BATCH_QUANTITIES: tuple[Quantity, ...] = (*DEFAULT_QUANTITIES, *_SCALES)
LARGEST_SEED = 2**31 - 1
MOST_SEEDS = 10**5
LARGEST_WIDTH = 2**24
FEWEST_SITES = 16
LONGEST_SCAN = 32
GAMMA = "gamma must be positive; small is lazy, large is rich"

NAMES = must(
    lambda names: bool(names) and (names == "default" or different(names)), "name at least one, each once"
)
JUDGED = must(
    lambda names: names == "default" or bool({"prediction", "loss"} & set(names)),
    'name "prediction" or "loss" among them: a record without either cannot be judged',
)
SOBOL = must(
    lambda sites: sites & (sites - 1) == 0 and (sites == 0 or sites >= FEWEST_SITES),
    f"give a power of two from {FEWEST_SITES} on (Sobol points)",
)
DIGITS = must(
    lambda digits: set(digits) <= set(range(10)) and len(digits) >= 2 and different(digits),
    "name two or more different digits 0 to 9",
)
STAGES = must(
    lambda blocks: 1 <= len(blocks) <= 8 and all(1 <= n <= 100 for n in blocks),
    "give 1 to 100 residual blocks for each of 1 to 8 stages",
)
WIDTHS = must(
    lambda widths: bool(widths) and all(1 <= width <= LARGEST_WIDTH for width in widths),
    f"name at least one width, each from 1 to {LARGEST_WIDTH}",
)
SCAN = must(
    lambda scan: different(scan) and len(scan) <= LONGEST_SCAN and all(1e-6 <= g <= 1e6 for g in scan),
    f"give at most {LONGEST_SCAN} different numbers from 1e-06 to 1e+06; {GAMMA}",
)
WRITABLE = must(
    lambda path: not any("\ud800" <= c <= "\udfff" or c == "\0" for c in path or ""),
    "has characters that no text file can hold",
)


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
    path: Annotated[str | None, WRITABLE] = None
    classes: Annotated[tuple[int, ...], DIGITS] = (3, 8)
    task: SyntheticTask = "single_index"
    dimension: Annotated[int, bounds(1, 10**6, "input dimensions")] = 10
    order: Literal["offline", "online"] = "offline"
    train: Annotated[int, bounds(1, 10**6, "at least one training point is needed")] = 16
    test: Annotated[int, bounds(0, 10**6, "test points")] = 0
    size: Annotated[int, bounds(4, 1024, "pixels of an image's side")] = 32
    sequence_length: Annotated[int, bounds(2, 2**16, "tokens of a window")] = 64
    vocabulary: Annotated[int, bounds(2, 2**20, "different tokens")] = 1024
    subset: str | None = None
    seed: Annotated[int, bounds(0, LARGEST_SEED, "the points depend on it")] = 0


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
    hidden_layers: Annotated[int, bounds(1, 1000, "hidden layers")] = 1
    blocks: Annotated[tuple[int, ...], STAGES] = (2, 2, 2, 2)
    activation: Activation = "tanh"
    activation_scale: Annotated[float, bounds(1e-6, 1e6, "a in phi(h) = g act(a h) / a must be positive")] = (
        1.0
    )
    activation_gain: Annotated[float, bounds(1e-6, 1e6, "g in phi(h) = g act(a h) / a must be positive")] = (
        1.0
    )
    normalization: Normalization = "group"
    preactivation: bool = True
    heads: Annotated[int, bounds(1, 1024, "attention heads")] = 4
    head_size: Annotated[int, bounds(0, 2**16, "numbers in a head; 0 for heads that grow with the width")] = 0
    tied_embeddings: bool = False
    parametrization: Parametrization = "mean_field"
    base_width: Annotated[int, bounds(1, LARGEST_WIDTH, "the width at which all parametrizations agree")] = 64
    readout: Literal["normal", "zero"] = "normal"
    richness: Annotated[float, bounds(1e-6, 1e6, GAMMA)] = 1.0
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
    learning_rate: Annotated[float, bounds(1e-30, 1e30, "a rate must be positive")] = 0.1
    steps: Annotated[int, bounds(1, 10**8, "step 0 is initialization")] = 100
    batch: Annotated[int, bounds(1, 10**7, "samples of a step")] = 64
    momentum: Annotated[float, bounds(0, 0.9999, "share of the last move that is kept; adam's beta1")] = 0.9
    beta2: Annotated[float, bounds(0, 0.999999, "adam's memory of squared gradients")] = 0.999
    epsilon: Annotated[float, bounds(0, 1, "added to adam's denominator")] = 1e-8
    weight_decay: Annotated[float, bounds(0, 1e6, "share of a weight lost in a step, over the rate")] = 0.0
    clip: Annotated[float, bounds(0, 1e30, "the largest norm of a gradient; 0 for any")] = 0.0
    schedule: Schedule = "constant"
    warmup: Annotated[int, bounds(0, 10**8, "steps of rising rate")] = 0
    decay_steps: tuple[int, ...] = ()
    decay_factor: Annotated[float, bounds(1e-30, 1, "it multiplies the rate at each of decay_steps")] = 0.1
    loss: Loss = "mse"
    reduction: Reduction = "sum"
    substeps: Annotated[int, bounds(1, 1024, "Runge-Kutta steps between recorded steps")] = 2

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

    sites: Annotated[int, bounds(FEWEST_SITES, 2**22, "Sobol points"), SOBOL] = 4096
    fluctuation_sites: Annotated[int, bounds(0, 2**22, "Sobol points; 0: what the data affords"), SOBOL] = 0
    scramblings: Annotated[int, bounds(2, 1024, "their scatter is the standard error")] = 8
    seed: Annotated[int, bounds(0, LARGEST_SEED, "the scramblings depend on it")] = 0
    observables: Annotated[tuple[TheoryQuantity, ...], NAMES] = DEFAULT_QUANTITIES
    richness_scan: Annotated[tuple[float, ...], SCAN] = ()


@dataclass(frozen=True, kw_only=True)
class EnsembleSettings:
    """Which finite networks are trained. A cell is (study, width, block of `seeds_per_cell` seeds).

    With `coupling` "independent" there are `seeds` networks of each width, each drawn by itself. With
    "nested" there are `seeds` families, independent of each other: the neurons of one widest network, which
    narrower ones share out, so that each width has (widest width) / (its width) networks in a family. Every
    network still has the law of its width; differences between widths of a family have far less noise.
    """

    widths: Annotated[tuple[int, ...], WIDTHS, must(different, "name each width once")] = (32, 64, 128, 256)
    seeds: Annotated[int, bounds(1, MOST_SEEDS, "networks of each width, or nested families")] = 64
    seed: Annotated[int, bounds(0, LARGEST_SEED, "the initializations depend on it")] = 0
    seeds_per_cell: Annotated[int, bounds(1, 10**5, "networks trained together")] = 32
    precision: Precision = "float32"
    coupling: Coupling = "independent"

    def networks(self, width: int) -> int:
        """How many networks of a width are trained.

        >>> EnsembleSettings(widths=(32, 128), seeds=10, coupling="nested").networks(32)
        40
        """
        return self.seeds * (max(self.widths) // width if self.coupling == "nested" else 1)

    @property
    def most_networks(self) -> int:
        """Networks of the width that has most of them: the length of the dimension `seed` of records."""
        return self.networks(min(self.widths))


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
    quantities: Annotated[Literal["default"] | tuple[Quantity, ...], NAMES, JUDGED] = "default"
    train_points: Annotated[int, bounds(0, 10**6, "training points among the recorded ones")] = 64
    modes: Annotated[int, bounds(1, 10**5, "eigenvalues of the tangent kernel")] = 32
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
    cpus: Annotated[float, bounds(0, 10**4, "processors of a cell")] = 1.0
    gpus: Annotated[float, bounds(0, 10**3, "accelerators of a cell")] = 0.0
    retries: Annotated[int, bounds(0, 1000, "restarts of a cell")] = 3
    checkpoint_minutes: Annotated[float, bounds(0, 10**4, "0 for a checkpoint after every few steps")] = 2.0
