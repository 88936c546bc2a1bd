"""Faulty set-ups of the audit's zoo: each breaks one rule, and leaves the narrowest width as it is."""

from collections.abc import Callable
from functools import partial

import torch
from audit_zoo_correct import IMAGES, SGD, TEXTS, zero_readout
from audit_zoo_networks import BASE, Convolutional, Mixture, Perceptron, Transformer
from audit_zoo_training import Factor, Kind, cosine, warm_up
from torch import nn

BLOCK = ("attention.", "up.", "down.")


def where(chosen: Callable[[str, str], bool], power: float) -> Factor:
    """m to a power for the tensors that are chosen by name and role."""
    return lambda name, role, m: m**power if chosen(name, role) else 1.0


def of_role(wanted: str, power: float) -> Factor:
    """m to a power for a role."""
    return where(lambda name, role: role == wanted, power)


def named(part: str, power: float) -> Factor:
    """m to a power for tensors with this in their names."""
    return where(lambda name, role: part in name, power)


def standard(name: str, role: str, m: float) -> float:
    """Rates of standard parametrization under SGD over those of muP."""
    return {"input": 1 / m, "readout": m}.get(role, 1.0)


def normalization(name: str, role: str) -> bool:
    """Gains and biases of normalizations."""
    return any(part in name for part in ("before.", "between.", "last.", "normal."))


def hidden_bias(name: str, role: str) -> bool:
    """Biases of a growing side."""
    return name.endswith("bias") and role == "input"


STANDARD = {"initial": of_role("readout", 0.5), "words": ("standard parametrization",)}
NTK = {"initial": of_role("readout", 0.5), "words": ("NTK",)}
BY_WIDTH = {1: 0.05, 2: 0.2, 4: 0.35, 8: 0.5}

FAULTY = {
    "readout_initial": Kind(make=Perceptron, initial=of_role("readout", 0.5), words=("readout.",)),
    "readout_initial_sgd": Kind(**IMAGES, **SGD, initial=of_role("readout", 0.5), words=("readout.",)),
    "readout_rate": Kind(**TEXTS, rate=of_role("readout", 1.0), words=("readout.",)),
    "readout_rate_sgd": Kind(make=Perceptron, **SGD, rate=of_role("readout", 1.0), words=("readout.",)),
    "zero_readout_rate": Kind(
        make=Perceptron, initial=zero_readout, rate=of_role("readout", 1.0), words=("readout.",)
    ),
    "hidden_rate": Kind(make=Perceptron, rate=of_role("hidden", 1.0), words=("hidden.",)),
    "hidden_rate_convolutions": Kind(**IMAGES, rate=of_role("hidden", 1.0), words=("hidden.",)),
    "hidden_rate_transformer": Kind(**TEXTS, rate=of_role("hidden", 1.0), words=BLOCK),
    "input_rate_sgd": Kind(make=Perceptron, **SGD, rate=of_role("input", -1.0), words=("first.", "bias")),
    "embedding_rate": Kind(**TEXTS, rate=named("token", 1.0), words=("token.",)),
    "embedding_initial": Kind(**TEXTS, initial=named("token", -0.5), words=("token.",)),
    "gain_rate": Kind(**TEXTS, rate=where(normalization, 1.0), words=("before.", "between.", "last.")),
    "group_gain_rate": Kind(
        **IMAGES | {"make": partial(Convolutional, groups=4)},
        rate=where(normalization, 1.0),
        words=("normal.",),
    ),
    "bias_rate": Kind(make=Perceptron, rate=where(hidden_bias, 1.0), words=("bias",)),
    "bias_rate_sgd": Kind(make=Perceptron, **SGD, rate=where(hidden_bias, -1.0), words=("bias",)),
    "one_layer_of_four": Kind(
        make=partial(Perceptron, depth=4), rate=named("hidden.1.weight", 1.0), words=("hidden.1.weight",)
    ),
    "one_layer_of_six_sgd": Kind(
        make=partial(Perceptron, depth=6),
        **SGD,
        rate=named("hidden.2.weight", 1.0),
        words=("hidden.2.weight",),
    ),
    "one_layer_slow": Kind(
        make=partial(Perceptron, depth=4), rate=named("hidden.1.weight", -1.0), words=("hidden.1.weight",)
    ),
    "attention_scale": Kind(
        **TEXTS | {"make": partial(Transformer, scale="default")}, words=("attention_scale",)
    ),
    "attention_scale_native": Kind(
        **TEXTS | {"make": partial(Transformer, scale="default", fused=True, native=True)},
        words=("attention_scale", "qkv"),
        unseen="attention",
    ),
    "fan_out": Kind(make=Perceptron, initial=named("first.weight", -0.5), words=("first.weight",)),
    "fan_out_depthwise": Kind(
        **IMAGES | {"make": partial(Convolutional, depthwise=True)},
        initial=named("hidden.0.weight", -0.5),
        words=("hidden.0.weight",),
    ),
    "depthwise_rate": Kind(
        **IMAGES | {"make": partial(Convolutional, depthwise=True)},
        rate=named("hidden.0.weight", -1.0),
        words=("hidden.0.weight",),
    ),
    "branch": Kind(
        make=lambda width: Perceptron(width, depth=4, residual=0.5 * (BASE / width) ** 0.5),
        **SGD,
        words=("hidden.", "branch"),
    ),
    "branch_transformer": Kind(
        **TEXTS | {"make": lambda width: Transformer(width, branch=(BASE / width) ** 0.5)},
        words=(*BLOCK, "branch"),
    ),
    "decay_times_m": Kind(make=Perceptron, decay=lambda m: 2.0 * m, words=("weight decay", "weight_decay")),
    "decay_times_m_transformer": Kind(**TEXTS, decay=lambda m: m, words=("weight decay", "weight_decay")),
    "epsilon": Kind(make=Perceptron, epsilon=1e-3, words=("epsilon", "eps")),
    "clip_by_global_norm": Kind(make=Perceptron, **SGD, clip=("global", 0.3), words=("clip",)),
    "warm_up_by_width": Kind(
        make=Perceptron, schedule=lambda step, m: warm_up(step, 4 * m), words=("schedule",)
    ),
    "cosine_by_width": Kind(
        make=Perceptron, schedule=lambda step, m: cosine(step, 84 / m), words=("schedule",)
    ),
    "momentum_by_width": Kind(
        make=Perceptron, **SGD, momentum=lambda m: 1 - 0.3 / m, words=("momentum", "optimizer")
    ),
    "dropout_by_width": Kind(
        make=lambda width: Perceptron(width, dropout=BY_WIDTH[width // BASE]), words=("dropout",)
    ),
    "batch_by_width": Kind(make=Perceptron, batch=lambda m: 8 * m, words=("batch size",)),
    "order_by_width": Kind(make=Perceptron, order=lambda m: m, words=("batches",)),
    "half_precision_weights": Kind(
        make=Perceptron, weights=torch.bfloat16, learning_rate=0.0005, words=("precision",)
    ),
    "tied_without_multiplier": Kind(
        **TEXTS | {"make": partial(Transformer, multiplier=1.0)}, words=("token.", "tied")
    ),
    "standard_adam": Kind(
        make=Perceptron, rate=lambda name, role, m: m if role in ("hidden", "readout") else 1.0, **STANDARD
    ),
    "standard_transformer": Kind(
        **TEXTS, rate=lambda name, role, m: m if role in ("hidden", "readout") else 1.0, **STANDARD
    ),
    "standard_sgd": Kind(make=Perceptron, **SGD, rate=standard, **STANDARD),
    "ntk_sgd": Kind(
        make=Perceptron, **SGD, rate=lambda n, role, m: 1 / m if role in ("input", "hidden") else 1.0, **NTK
    ),
    "ntk_adam": Kind(
        make=Perceptron, rate=lambda n, role, m: m**-0.5 if role in ("input", "hidden") else 1.0, **NTK
    ),
    "muon_larger_side": Kind(
        make=Perceptron, optimizer="muon", rate=of_role("hidden", 0.5), words=("hidden.",)
    ),
    "muon_rate_of_adam": Kind(**TEXTS, optimizer="muon", rate=of_role("hidden", -1.0), words=BLOCK),
    "lion_hidden_rate": Kind(
        make=Perceptron,
        optimizer="lion",
        learning_rate=0.003,
        rate=of_role("hidden", 1.0),
        words=("hidden.",),
    ),
    "adafactor_one_rate": Kind(
        make=Perceptron,
        optimizer="adafactor",
        learning_rate=0.02,
        rate=of_role("hidden", 0.5),
        words=("hidden.",),
    ),
    "adafactor_rates_of_adam": Kind(
        make=Perceptron,
        optimizer="adafactor",
        learning_rate=0.02,
        rate=lambda name, role, m: {"hidden": m**-0.5, "readout": 1 / m}.get(role, 1.0),
        words=("hidden.", "readout."),
    ),
    "router_rate": Kind(make=Mixture, rate=named("router", 1.0), words=("router.",)),
    "fixed_heads_divided_by_width": Kind(
        **TEXTS | {"make": lambda width: Transformer(width, heads=width // 8, scale=11 / width)},
        words=("attention", "query", "key"),
    ),
    "rms_gain_rate_sgd": Kind(
        make=partial(Perceptron, normal=nn.RMSNorm),
        **SGD,
        rate=where(normalization, -1.0),
        words=("normal.",),
    ),
}

GROUPS = {  # what is wrong; what is in none of them is a rate of a tensor
    "initial weights": (
        "readout_initial",
        "readout_initial_sgd",
        "embedding_initial",
        "fan_out",
        "fan_out_depthwise",
    ),
    "attention's scale, branches, tying": (
        "attention_scale",
        "attention_scale_native",
        "fixed_heads_divided_by_width",
        "branch",
        "branch_transformer",
        "tied_without_multiplier",
    ),
    "decay, epsilon, clipping, precision": (
        "decay_times_m",
        "decay_times_m_transformer",
        "epsilon",
        "clip_by_global_norm",
        "half_precision_weights",
    ),
    "schedule, momentum, dropout, batches by width": (
        "warm_up_by_width",
        "cosine_by_width",
        "momentum_by_width",
        "dropout_by_width",
        "batch_by_width",
        "order_by_width",
    ),
    "a whole parametrization": (
        "standard_adam",
        "standard_transformer",
        "standard_sgd",
        "ntk_sgd",
        "ntk_adam",
    ),
    "rates of Muon, Lion, Adafactor": (
        "muon_larger_side",
        "muon_rate_of_adam",
        "lion_hidden_rate",
        "adafactor_one_rate",
        "adafactor_rates_of_adam",
    ),
}
