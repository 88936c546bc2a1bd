"""Finite networks as Equinox modules, and what they compute at the points. Begin at `build.py`."""

from widthwise.networks.activations import ACTIVATIONS, activation
from widthwise.networks.build import blueprint
from widthwise.networks.feedback import Feedback, draw_feedback, feedback_fields
from widthwise.networks.mlp import MLP, Probe, preactivations, probe
from widthwise.networks.nested import FamilyKey, draw_nested
from widthwise.networks.tagging import blueprint_of

__all__ = [
    "ACTIVATIONS",
    "MLP",
    "FamilyKey",
    "Feedback",
    "Probe",
    "activation",
    "blueprint",
    "blueprint_of",
    "draw_feedback",
    "draw_nested",
    "feedback_fields",
    "preactivations",
    "probe",
]
