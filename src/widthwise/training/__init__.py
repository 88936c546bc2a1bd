"""Training of finite networks and of ensembles. Begin at `train.py`."""

from widthwise.training.train import train_ensemble

__all__ = ["train_ensemble"]
