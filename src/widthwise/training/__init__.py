"""Training of finite networks and of ensembles. Begin at `train.py`; with a module of your own at
`parametrize.py`."""

from widthwise.training.optimizer import make_optimizer
from widthwise.training.parametrize import Parametrized, describe_parametrization, parametrize
from widthwise.training.train import train_ensemble

__all__ = ["Parametrized", "describe_parametrization", "make_optimizer", "parametrize", "train_ensemble"]
