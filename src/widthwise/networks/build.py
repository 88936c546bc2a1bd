"""From the settings of a network to its blueprint. Of a user's own module: `blueprint_of` in `tagging.py`."""

import math
from dataclasses import replace

from widthwise.networks.cnn import CNN, plan_cnn
from widthwise.networks.mlp import MLP
from widthwise.networks.plans import readout, weights
from widthwise.networks.resnet import ResNet, plan_resnet
from widthwise.networks.transformer import Transformer, plan_transformer
from widthwise.study import NetworkSettings


def blueprint(
    settings: NetworkSettings, shape: tuple[int, ...], outputs: int, width: int
) -> MLP | CNN | ResNet | Transformer:
    r"""The network of one width with `TensorSpec` plans in place of its arrays.

    In standard terms the network of the base width is the usual one: standard deviations 1/sqrt(fan_in), the
    readout's divided by the richness gamma; gradient descent moves all but the readout at gamma^2 times the
    learning rate, adam at gamma times. In the perceptron weights are N(0, 1) and the forward pass divides;
    relative to the learning rate gradient descent moves all of them at gamma^2 N_0 at the base width.

    **Arguments:** `shape` of one input: any for a perceptron (flattened), (row, column[, channel]) for
    images, (position,) for tokens; `outputs` C, or the vocabulary.
    **Errors:** `InputError` for a shape that the kind cannot read, or a width that its heads do not divide.
    """
    plans = {"cnn": plan_cnn, "resnet": plan_resnet, "transformer": plan_transformer, "mlp": _plan_mlp}
    return plans[settings.kind](settings, shape, outputs, width)


def _plan_mlp(settings: NetworkSettings, shape: tuple[int, ...], outputs: int, width: int) -> MLP:
    dimension, gamma, base = math.prod(shape), settings.richness, settings.base_width
    first = replace(
        weights(settings, (width, dimension), "input"),
        sgd_rate=gamma**2 * base / dimension,
        inner=1 / math.sqrt(dimension),
    )
    hidden = replace(weights(settings, (width, width)), inner=1 / math.sqrt(width))
    last = replace(
        readout(settings, outputs, width),
        gain=1 / (gamma * math.sqrt(base)),
        sgd_rate=1 / base,
        inner=1 / (gamma * width),
    )
    return MLP((first, *[hidden] * (settings.hidden_layers - 1)), last, settings)
