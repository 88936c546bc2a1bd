"""Finite networks as Equinox modules, and what they compute at the points. Begin at `mlp.py`."""

from widthwise.networks.activations import ACTIVATIONS, activation
from widthwise.networks.feedback import Feedback, draw_feedback, feedback_fields
from widthwise.networks.mlp import MLP, Probe, initialize, preactivations, predict, probe

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "Feedback",
    "Probe",
    "activation",
    "draw_feedback",
    "feedback_fields",
    "initialize",
    "preactivations",
    "predict",
    "probe",
]
