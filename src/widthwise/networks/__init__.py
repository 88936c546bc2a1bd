"""Finite networks as Equinox modules, and what they compute at the points. Begin at `build.py`."""

from widthwise.networks.activations import ACTIVATIONS as ACTIVATIONS
from widthwise.networks.activations import activation as activation
from widthwise.networks.build import blueprint as blueprint
from widthwise.networks.feedback import Feedback as Feedback
from widthwise.networks.feedback import draw_feedback as draw_feedback
from widthwise.networks.feedback import feedback_fields as feedback_fields
from widthwise.networks.mlp import MLP as MLP
from widthwise.networks.mlp import Probe as Probe
from widthwise.networks.mlp import preactivations as preactivations
from widthwise.networks.mlp import probe as probe
from widthwise.networks.nested import FamilyKey as FamilyKey
from widthwise.networks.nested import draw_nested as draw_nested
from widthwise.networks.tagging import blueprint_of as blueprint_of
