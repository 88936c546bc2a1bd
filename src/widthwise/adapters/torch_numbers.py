"""What is measured of tensors, as `training/measures` defines it."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from widthwise.adapters.torch_isolation import require_torch
from widthwise.errors import InputError
from widthwise.records.schema import QUANTILE_LEVELS

MOST_ENTRIES = 1 << 12


def sampled(tensor: Any) -> Any:
    """Evenly spaced entries of a tensor, at most `MOST_ENTRIES` or so: enough to know a share by."""
    flat = tensor.detach().reshape(-1)
    return flat[:: max(1, flat.numel() // MOST_ENTRIES)]


def rms(tensor: Any) -> float:
    r"""Root mean square $\sqrt{\langle w^2 \rangle}$; neither overflows nor underflows where entries do
    not."""
    torch, values = require_torch(), tensor.detach()
    if not values.numel():
        return 0.0
    if values.dtype != torch.float64 and values.device.type != "mps":  # squares of float32 fit into float64
        return float(torch.linalg.vector_norm(values, dtype=torch.float64)) / math.sqrt(values.numel())
    values = values.float() if values.dtype != torch.float64 else values
    largest = values.abs().max()
    if not largest > 0 or not largest.isfinite():
        return float(largest)
    return float(largest * (values / largest).square().mean().sqrt())


def kernel(values: Any, points: int, features: Callable[[Any], Any] | None, name: str) -> np.ndarray:
    r"""Feature kernel (point, point): $\Phi_{mn} = \langle \phi_m \phi_n \rangle$ over neurons and
    positions."""
    rows = _rows(values if features is None else features(values.clone()), points, name)
    return as_numbers(rows @ rows.T / rows.shape[1])


def quantiles(values: Any, points: int, name: str) -> np.ndarray:
    """Quantiles (point, quantile) over neurons and positions: definition 8 of Hyndman and Fan (1996)."""
    rows = as_numbers(_rows(values, points, name))
    return np.quantile(rows, QUANTILE_LEVELS, axis=1, method="median_unbiased").T


def attention_entropy(weights: Any) -> np.ndarray:
    r"""Entropy $-\sum_k a_k \ln a_k$ of each head (head,), in nats, mean over points and queries."""
    return as_numbers(-(require_torch().xlogy(weights, weights)).sum(-1).mean((0, 2)))


def kind_of_loss(function: object) -> str | None:
    """ "cross_entropy" or "mse" of PyTorch's own functions and modules; None of others."""
    torch = require_torch()
    functions, modules = torch.nn.functional, torch.nn
    if function is functions.cross_entropy or isinstance(function, modules.CrossEntropyLoss):
        return "cross_entropy"
    if function is functions.mse_loss or isinstance(function, modules.MSELoss):
        return "mse"
    return None


def as_numbers(value: Any) -> Any:
    """Tensors as arrays on the CPU, also in lists and dictionaries; everything else as it is."""
    torch = require_torch()
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).numpy()
    if isinstance(value, Mapping):
        return {name: as_numbers(each) for name, each in value.items() if each is not None}
    if isinstance(value, tuple | list):
        return [as_numbers(each) for each in value]
    return value


def targets_of(targets: Any, prediction: Any) -> np.ndarray | None:
    """y as (point, output), class numbers one-hot; None for what is not one target a prediction (as of
    texts)."""
    if targets is None:
        return None
    found, (points, outputs) = np.asarray(as_numbers(targets)), prediction.shape
    if found.shape == (points,) and found.dtype.kind in "iu" and outputs > 1:
        if found.min() < 0 or found.max() >= outputs:
            return None
        return np.eye(outputs)[found]
    found = found[:, None] if found.ndim == 1 else found
    return found if found.shape == (points, outputs) else None


def _rows(values: Any, points: int, name: str) -> Any:
    if not values.ndim or values.numel() % points or (len(values) != points and len(values) % points):
        raise InputError(
            f"layer {name!r} has an output of shape {tuple(values.shape)} for {points} points: name other "
            "`layers`"
        )
    return values.reshape(points, -1)
