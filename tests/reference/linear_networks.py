"""Batches of finite deep linear networks with one output, trained in plain NumPy (float64)."""

import numpy as np


def train_linear_networks(problem, *, width, networks, rng):
    """Gradient descent; a dictionary of arrays (network, step, ...): residual (point), feature_kernel and
    gradient_kernel (layer, point, point) at equal times, tangent_kernel (point, point)."""
    gamma, eta, points = problem.richness, problem.learning_rate, len(problem.targets)
    train = problem.train or points
    values, vectors = np.linalg.eigh(problem.input_kernel)
    factor = vectors * np.sqrt(np.maximum(values, 0.0))
    first = np.einsum("mk,bkn->bmn", factor, rng.standard_normal((networks, points, width)))
    inner = [
        rng.standard_normal((networks, width, width)) / np.sqrt(width)
        for _ in range(problem.hidden_layers - 1)
    ]
    readout = rng.standard_normal((networks, width))
    kept = {name: [] for name in ("residual", "feature_kernel", "gradient_kernel", "tangent_kernel")}
    start = None
    for _ in range(problem.steps):
        h = [first]
        for weight in inner:
            h.append(h[-1] @ np.swapaxes(weight, 1, 2))
        g = [readout]
        for weight in reversed(inner):
            g.insert(0, np.einsum("bi,bij->bj", g[0], weight))
        output = np.einsum("bmn,bn->bm", h[-1], readout) / (gamma * width)
        start = output if start is None else start
        residual = problem.targets - output + problem.centered * start
        feature = np.stack([np.einsum("bmi,bni->bmn", a, a) / width for a in h], 1)
        gradient = np.stack([np.einsum("bi,bi->b", a, a) / width for a in g], 1)[..., None, None]
        below = np.concatenate([np.broadcast_to(problem.input_kernel, feature[:, :1].shape), feature], 1)
        above = np.concatenate([gradient, np.ones_like(gradient[:, :1])], 1)
        kept["residual"].append(residual)
        kept["feature_kernel"].append(feature)
        kept["gradient_kernel"].append(np.broadcast_to(gradient, feature.shape))
        kept["tangent_kernel"].append((below * above).sum(1))
        force = eta * gamma * residual * (np.arange(points) < train)
        for weight, before, after in zip(inner, h, g[1:], strict=False):
            weight += after[:, :, None] * np.einsum("bm,bmn->bn", force, before)[:, None, :] / width
        readout = readout + np.einsum("bm,bmn->bn", force, h[-1])
        first = first + (force @ problem.input_kernel)[:, :, None] * g[0][:, None, :]
    return {name: np.stack(parts, 1) for name, parts in kept.items()}
