"""Correct set-ups of the audit's zoo."""

from functools import partial

import torch
from audit_zoo_networks import (
    BASE,
    CLASSES,
    INPUTS,
    Convolutional,
    Mixture,
    Perceptron,
    Transformer,
    UnitPerceptron,
)
from audit_zoo_training import Kind, cosine, warm_up
from torch import nn
from torch.nn import functional

IMAGES = {"make": Convolutional, "task": "images", "batch": lambda m: 12}
TEXTS = {"make": Transformer, "task": "texts", "gain": 1.0, "batch": lambda m: 8}
SGD = {"optimizer": "sgd", "learning_rate": 0.02}


def zero_readout(name: str, role: str, m: float) -> float:
    """No initial readout."""
    return 0.0 if role == "readout" else 1.0


def root_rates(name: str, role: str, m: float) -> float:
    """Of weights N(0, 1) that the forward pass divides: Adam's 1/m^(1/2) of hidden and 1 of readouts."""
    return {"hidden": m**0.5, "readout": m}.get(role, 1.0)


def unit(*, inside: bool) -> Kind:
    """Weights of order 1, and the powers of the width in the forward pass told to the recorder."""
    fans = {"first.weight": INPUTS, "hidden.weight": BASE}
    return Kind(
        make=partial(UnitPerceptron, inside=inside),
        learning_rate=0.02,
        gain=1.0,
        initial=lambda name, role, m: {
            "first.weight": fans["first.weight"] ** 0.5,
            "hidden.weight": (BASE * m) ** 0.5,
            "readout.weight": BASE**0.5 * m,
        }[name],
        rate=root_rates,
        factors=lambda width: {
            "first.weight": INPUTS**-0.5,
            "hidden.weight": width**-0.5,
            "readout.weight": 6 / width,
        },
    )


def fixed_heads(width: int, **settings) -> nn.Module:
    """Heads of eight entries that grow in number."""
    return Transformer(width, heads=width // 8, scale=8**-0.5, **settings)


CORRECT = {
    "perceptron_adam": Kind(make=Perceptron),
    "perceptron_sgd": Kind(make=Perceptron, **SGD, momentum=lambda m: 0.0),
    "perceptron_momentum": Kind(make=partial(Perceptron, depth=2, activation=torch.tanh), **SGD),
    "perceptron_nesterov": Kind(make=partial(Perceptron, activation=functional.gelu), **SGD, nesterov=True),
    "perceptron_six_layers": Kind(make=partial(Perceptron, depth=6)),
    "perceptron_six_layers_sgd": Kind(make=partial(Perceptron, depth=6, activation=torch.tanh), **SGD),
    "layer_normalized": Kind(make=partial(Perceptron, normal=nn.LayerNorm)),
    "rms_normalized_sgd": Kind(make=partial(Perceptron, normal=nn.RMSNorm), **SGD),
    "residual": Kind(make=partial(Perceptron, depth=4, residual=0.5)),
    "zero_biases": Kind(make=Perceptron, bias=0.0),
    "zero_readout": Kind(make=Perceptron, initial=zero_readout),
    "two_heads": Kind(make=partial(Perceptron, readouts={"policy": CLASSES - 1, "value": 1})),
    "regression": Kind(
        make=partial(Perceptron, outputs=1, activation=torch.tanh), task="regression", learning_rate=0.01
    ),
    "regression_sgd": Kind(
        make=partial(Perceptron, outputs=1, depth=2), task="regression", optimizer="sgd", learning_rate=0.01
    ),
    "decay": Kind(make=Perceptron, decay=lambda m: 2.0),
    "muon": Kind(make=Perceptron, optimizer="muon"),
    "spectral": Kind(make=Perceptron, optimizer="spectral", learning_rate=0.02),
    "lion": Kind(make=Perceptron, optimizer="lion", learning_rate=0.003),
    "lion_decay": Kind(make=Perceptron, optimizer="lion", learning_rate=0.003, decay=lambda m: 3.0),
    "adafactor": Kind(make=Perceptron, optimizer="adafactor", learning_rate=0.02),
    "warm_up_and_cosine": Kind(make=Perceptron, schedule=lambda step, m: warm_up(step, 5) * cosine(step, 21)),
    "clip_by_rates": Kind(make=Perceptron, **SGD, clip=("by rates", 1.0)),
    "clip_adam": Kind(make=Perceptron, clip=("global", 1.0)),
    "dropout": Kind(make=partial(Perceptron, dropout=0.2)),
    "autocast": Kind(make=Perceptron, autocast=True),
    "accumulated": Kind(make=Perceptron, parts=2),
    "factor_inside": unit(inside=True),
    "factor_outside": unit(inside=False),
    "router": Kind(make=Mixture),
    "convolutions_adam": Kind(**IMAGES),
    "convolutions_sgd": Kind(**IMAGES, **SGD),
    "group_normalized": Kind(**IMAGES | {"make": partial(Convolutional, groups=4)}),
    "depthwise": Kind(**IMAGES | {"make": partial(Convolutional, depthwise=True)}),
    "transformer_adam": Kind(**TEXTS),
    "transformer_sgd": Kind(**TEXTS, optimizer="sgd", learning_rate=0.05),
    "transformer_muon": Kind(**TEXTS, optimizer="muon"),
    "transformer_decay_schedule": Kind(
        **TEXTS, decay=lambda m: 3.0, schedule=lambda step, m: warm_up(step, 4) * cosine(step, 21)
    ),
    "heads_of_fixed_size": Kind(**TEXTS | {"make": fixed_heads}),
    "grouped_queries": Kind(**TEXTS | {"make": partial(Transformer, shared=2)}),
    "one_key_rms": Kind(**TEXTS | {"make": partial(Transformer, shared=1, normal=nn.RMSNorm)}),
    "bottleneck": Kind(**TEXTS | {"make": partial(Transformer, inner=96)}),
    "tied": Kind(**TEXTS | {"make": lambda width: Transformer(width, multiplier=BASE / width)}),
    "fused_native_attention": Kind(
        **TEXTS | {"make": lambda width: Transformer(width, fused=True, native=True, scale=11 / width)}
    ),
}
