"""Which values of a study go together: kinds of data, network, training and recorded quantities."""

from collections.abc import Iterator, Mapping
from itertools import chain, pairwise
from typing import Any

from widthwise.errors import InputError
from widthwise.study.rules import different
from widthwise.study.settings import (
    LARGEST_SEED,
    MOST_SEEDS,
    DataKind,
    DataSettings,
    EnsembleSettings,
    NetworkSettings,
    RecordSettings,
    TrainingSettings,
)
from widthwise.study.tables import checked
from widthwise.study.values import shown

POINT_KINDS: tuple[DataKind, ...] = ("arrays", "digits", "synthetic")
TEXT_KINDS: tuple[DataKind, ...] = ("tokens", "text")
READ_AS_IMAGES: tuple[DataKind, ...] = ("image_folder", "cifar5m", "digits", "huggingface", "arrays")
MOST_RECORDED_STEPS = 10**6
FULL_BATCH = ("gd", "gradient_flow")
NEEDED_PATHS: dict[DataKind, str] = {
    "arrays": "the path of an .npz file",
    "image_folder": "the path of a folder with one folder a class",
    "cifar5m": "the path of a folder of .npz parts",
    "tokens": "the path of a text file or of a folder of *.tokens",
    "huggingface": "the name of a data set or the path of a folder of its files",
}
# A mean-field perceptron on fixed points, all of them in every step at one rate: all that theory treats.
PLAIN_PERCEPTRON: dict[str, tuple[object, ...]] = {
    "data.kind": POINT_KINDS,
    "data.order": ("offline",),
    "network.kind": ("mlp",),
    "network.parametrization": ("mean_field",),
    "network.readout": ("normal",),
    "training.optimizer": FULL_BATCH,
    "training.schedule": ("constant",),
    "training.warmup": (0,),
    "training.clip": (0,),
    "training.weight_decay": (0,),
}
# Whether a rule holds, the key whose value it refuses where it does not, and what to do then.
Rules = Iterator[tuple[bool, str, str]]


def check_combinations(tables: Mapping[str, Any]) -> None:
    """Raise `InputError` for values that are each valid and do not go together; settings by their table."""
    data, network, training, record = (tables[name] for name in ("data", "network", "training", "record"))
    widths = tables["ensemble"].widths
    rules = chain(
        _of_data(data, training),
        _of_network(network, data, training, widths),
        _of_training(network, training),
        _of_ensemble(tables["ensemble"], network, training),
        _of_record(record, network, training.steps, widths),
    )
    _enforce(rules, tables)


def keys_outside(tables: Mapping[str, Any]) -> Iterator[tuple[str, object, tuple[object, ...]]]:
    """Keys that keep a study from being a plain perceptron, their values, and those they would need."""
    for key, choices in PLAIN_PERCEPTRON.items():
        value = _value(tables, key)
        if value not in choices:
            yield key, value, choices


def checked_training(training: object) -> TrainingSettings:
    """The same settings in plain Python; raises `InputError` for those that no training can have."""
    if not isinstance(training, TrainingSettings):
        raise InputError(f"`training` is {type(training).__name__}: give TrainingSettings(...)")
    training = TrainingSettings(**checked("training", vars(training), TrainingSettings))
    _enforce(_of_falls(training), {"training": training})
    return training


def _enforce(rules: Rules, tables: Mapping[str, object]) -> None:
    """Raise `InputError` at the first rule that does not hold."""
    for holds, key, advice in rules:
        if not holds:
            value = _value(tables, key)
            raise InputError(f"`{key}` = {shown('' if value is None else value)}: {advice}")


def _value(tables: Mapping[str, Any], key: str) -> Any:
    table, _, name = key.partition(".")
    return getattr(tables[table], name)


def _of_data(data: DataSettings, training: TrainingSettings) -> Rules:
    online = data.order == "online"
    if data.kind in NEEDED_PATHS:
        yield bool(data.path), "data.path", f'kind = "{data.kind}" needs {NEEDED_PATHS[data.kind]}'
    fixed = data.kind in ("arrays", "digits")
    advice = f'kind = "{data.kind}" is a fixed set: use order = "offline"'
    yield not (online and fixed), "data.order", advice
    advice = 'a stream has no full batch: use training.optimizer = "sgd" with training.batch'
    yield not (online and training.optimizer in FULL_BATCH), "data.order", advice
    advice = "an online stream is judged on held-out points: give 1 or more"
    yield not online or data.test > 0, "data.test", advice


def _of_network(
    network: NetworkSettings, data: DataSettings, training: TrainingSettings, widths: tuple[int, ...]
) -> Rules:
    transformer = network.kind == "transformer"
    kinds = ", ".join(f'"{kind}"' for kind in (*TEXT_KINDS, "huggingface"))
    reads = data.kind == "huggingface" or (data.kind in TEXT_KINDS) == transformer
    yield reads, "network.kind", f'a "transformer" reads texts (data.kind {kinds}), and only it does'
    images = network.kind not in ("cnn", "resnet") or data.kind in READ_AS_IMAGES
    yield images, "network.kind", f'it reads images, and data.kind = "{data.kind}" has none'
    if transformer:
        what = "head_size" if network.head_size else "heads"
        for width in (network.base_width, *widths):
            fits = width % getattr(network, what) == 0
            yield fits, f"network.{what}", f"width {width} is no multiple of it: change either"
        advice = 'a transformer\'s tokens want "cross_entropy"'
        yield training.loss == "cross_entropy", "training.loss", advice


def _of_training(network: NetworkSettings, training: TrainingSettings) -> Rules:
    perceptron = (network.kind, network.parametrization) == ("mlp", "mean_field")
    plain = training.schedule == "constant" and not (
        training.warmup or training.clip or training.weight_decay
    )
    flow = training.optimizer == "gradient_flow"
    advice = "follows the gradient alone: no schedule, clip or decay"
    yield not flow or plain, "training.optimizer", advice
    by_weights = training.learning_rule == "backpropagation"
    treated = perceptron and training.optimizer in FULL_BATCH and plain
    advice = 'is for mean-field perceptrons, by "gd" or "gradient_flow", without schedule, clipping or decay'
    yield by_weights or treated, "training.learning_rule", advice
    means = network.kind == "mlp" or training.reduction == "mean"
    yield means, "training.reduction", f'a {network.kind} trains on the mean: give "mean"'
    advice = f"the rate would rise beyond the last of {training.steps} steps: lower it"
    yield training.warmup < training.steps, "training.warmup", advice
    yield from _of_falls(training)


def _of_falls(training: TrainingSettings) -> Rules:
    """A rate that falls at steps has them, in order, and no other has."""
    decays, stepped = training.decay_steps, training.schedule == "step"
    rising = all(a < b for a, b in pairwise((0, *decays)))
    yield rising, "training.decay_steps", "give steps above 0, ascending"
    advice = f'the rate does not fall at steps with training.schedule = "{training.schedule}": set "step"'
    if stepped:
        advice = 'training.schedule = "step" needs the steps at which the rate falls, such as [60, 80]'
    yield stepped == bool(decays), "training.decay_steps", advice


def _of_ensemble(ensemble: EnsembleSettings, network: NetworkSettings, training: TrainingSettings) -> Rules:
    if ensemble.coupling == "independent":
        return
    rule, widest, key = training.learning_rule, max(ensemble.widths), "ensemble.coupling"
    advice = f'of nested networks there are perceptrons only: use "independent" for a {network.kind}'
    yield network.kind == "mlp", key, advice
    advice = f'frozen feedback is not nested: use "independent" with training.learning_rule = "{rule}"'
    yield rule == "backpropagation", key, advice
    whole = all(widest % width == 0 for width in ensemble.widths)
    advice = f"nested networks share out the {widest} neurons of the widest: give divisors of {widest}"
    yield whole, "ensemble.widths", advice
    few = ensemble.most_networks <= MOST_SEEDS and ensemble.seeds * widest <= LARGEST_SEED
    advice = f"that is {ensemble.most_networks:,} nested networks of width {min(ensemble.widths)}, and "
    advice += f"{ensemble.seeds * widest:,} neurons: at most {MOST_SEEDS:,} and {LARGEST_SEED:,} are possible"
    yield few, "ensemble.seeds", advice


def _of_record(
    record: RecordSettings, network: NetworkSettings, steps: int, widths: tuple[int, ...]
) -> Rules:
    if not isinstance(record.steps, str):
        within = bool(record.steps) and all(0 <= step < steps for step in record.steps)
        advice = f'give "all", "log", or different steps from 0 to training.steps - 1 = {steps - 1}'
        yield within and different(record.steps), "record.steps", advice
    advice = f'that would be {steps:,} of them: give "log" or a list of at most {MOST_RECORDED_STEPS:,} steps'
    yield record.steps != "all" or steps <= MOST_RECORDED_STEPS, "record.steps", advice
    key, attention = "record.quantities", "attention" in record.quantities
    perceptron = network.kind == "mlp"
    yield perceptron or "gradient_kernel" not in record.quantities, key, '"gradient_kernel" is of perceptrons'
    advice = "heads grow in number with the width and could not be laid out: set network.head_size = 0"
    alike = not network.head_size or len(widths) == 1
    yield alike or not attention, key, advice
    yield network.kind == "transformer" or not attention, key, '"attention" is of transformers'
