"""Finite networks as Equinox modules, and what they compute at the points. Begin at `mlp.py`."""

from widthwise.networks.activations import ACTIVATIONS, activation
from widthwise.networks.mlp import MLP, Probe, initialize, preactivations, predict, probe

__all__ = ["ACTIVATIONS", "MLP", "Probe", "activation", "initialize", "preactivations", "predict", "probe"]
