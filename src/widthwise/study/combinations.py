"""Which values of a study go together: kinds of data, network, training and recorded quantities."""

from itertools import pairwise
from typing import TYPE_CHECKING

from widthwise.study.require import require
from widthwise.study.settings import TEXT_KINDS, DataKind, TrainingSettings

if TYPE_CHECKING:
    from widthwise.study.study import Study

POINT_KINDS: tuple[DataKind, ...] = ("arrays", "digits", "synthetic")
IMAGE_KINDS: tuple[DataKind, ...] = ("image_folder", "cifar5m")
MOST_RECORDED_STEPS = 10**6
FULL_BATCH = ("gd", "gradient_flow")


def is_plain_perceptron(study: "Study") -> bool:
    """Whether it is a mean-field perceptron on fixed points, all of them in every step at one rate."""
    network, training, data = study.network, study.training, study.data
    return (
        (network.kind, network.parametrization, network.readout) == ("mlp", "mean_field", "normal")
        and training.optimizer in FULL_BATCH
        and training.schedule == "constant"
        and training.warmup == training.clip == training.weight_decay == 0
        and data.kind in POINT_KINDS
        and data.order == "offline"
    )


def check_combinations(study: "Study") -> None:
    """Raise `InputError` for values that are each valid and do not go together."""
    _check_data(study)
    _check_network(study)
    _check_training(study)
    _check_quantities(study)


def _check_data(study: "Study") -> None:
    data = study.data
    online = data.order == "online"
    fits = not online or data.kind not in ("arrays", "digits")
    few = 'is a fixed set: use order = "offline"'
    require(fits, "data.order", data.order, f'kind = "{data.kind}" {few}')
    require(
        not online or study.training.optimizer not in ("gd", "gradient_flow"),
        "data.order",
        data.order,
        'a stream has no full batch: use training.optimizer = "sgd" with training.batch',
    )
    held = not online or data.test > 0
    require(held, "data.test", data.test, "an online stream is judged on held-out points: give 1 or more")


def _check_network(study: "Study") -> None:
    network, data = study.network, study.data
    texts = data.kind in TEXT_KINDS
    reads = data.kind == "huggingface" or texts == (network.kind == "transformer")
    kinds = ", ".join(f'"{kind}"' for kind in (*TEXT_KINDS, "huggingface"))
    advice = f'a "transformer" reads texts (data.kind {kinds}), and only it does'
    require(reads, "network.kind", network.kind, advice)
    images = network.kind not in ("cnn", "resnet") or data.kind in (
        *IMAGE_KINDS,
        "digits",
        "huggingface",
        "arrays",
    )
    require(images, "network.kind", network.kind, f'it reads images, and data.kind = "{data.kind}" has none')
    if network.kind == "transformer":
        for width in (network.base_width, *study.ensemble.widths):
            unit = network.head_size or network.heads
            what = "network.head_size" if network.head_size else "network.heads"
            require(width % unit == 0, what, unit, f"width {width} is no multiple of it: change either")
        require(
            study.training.loss == "cross_entropy",
            "training.loss",
            study.training.loss,
            'a transformer\'s tokens want "cross_entropy"',
        )


def _check_training(study: "Study") -> None:
    network, training = study.network, study.training
    perceptron = (network.kind, network.parametrization) == ("mlp", "mean_field")
    plain = training.schedule == "constant" and not (
        training.warmup or training.clip or training.weight_decay
    )
    flow, advice = training.optimizer == "gradient_flow", "follows the gradient alone"
    require(
        not flow or plain, "training.optimizer", training.optimizer, f"{advice}: no schedule, clip or decay"
    )
    feedback = training.learning_rule != "backpropagation"
    require(
        not feedback or (perceptron and training.optimizer in FULL_BATCH and plain),
        "training.learning_rule",
        training.learning_rule,
        'is for mean-field perceptrons, by "gd" or "gradient_flow", without schedule, clipping or decay',
    )
    require(
        perceptron or training.reduction == "mean" or network.kind == "mlp",
        "training.reduction",
        training.reduction,
        f'a {network.kind} trains on the mean: give "mean"',
    )
    small = training.warmup < training.steps
    advice = f"the rate would rise beyond the last of {training.steps} steps: lower it"
    require(small, "training.warmup", training.warmup, advice)
    check_falls(training)


def check_falls(training: TrainingSettings) -> None:
    """Raise `InputError` unless a rate that falls at steps has them, in order, and no other has."""
    decays, stepped = training.decay_steps, training.schedule == "step"
    rising = all(a < b for a, b in pairwise((0, *decays)))
    require(rising, "training.decay_steps", decays, "give steps above 0, ascending")
    if stepped:
        advice = 'training.schedule = "step" needs the steps at which the rate falls, such as [60, 80]'
    else:
        advice = f'the rate does not fall at steps with training.schedule = "{training.schedule}": set "step"'
    require(stepped == bool(decays), "training.decay_steps", decays, advice)


def _check_quantities(study: "Study") -> None:
    network, wanted, steps = study.network, study.record.quantities, study.training.steps
    most = f'that would be {steps:,} of them: give "log" or a list of at most {MOST_RECORDED_STEPS:,} steps'
    few = study.record.steps != "all" or steps <= MOST_RECORDED_STEPS
    require(few, "record.steps", study.record.steps, most)
    if network.kind != "mlp":
        require(
            "gradient_kernel" not in wanted,
            "record.quantities",
            wanted,
            '"gradient_kernel" is of perceptrons',
        )
    if "attention" in wanted and network.head_size:
        advice = "heads grow in number with the width and could not be laid out: set network.head_size = 0"
        require(len(study.ensemble.widths) == 1, "record.quantities", wanted, advice)
    if network.kind != "transformer":
        require("attention" not in wanted, "record.quantities", wanted, '"attention" is of transformers')
