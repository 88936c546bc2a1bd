"""Slow twins of the convolutional network and of the transformer: NumPy in float64, loops over everything.

Weights are dictionaries of arrays by name; nothing is shared with the package.
"""

import numpy as np


def convolve(image, weights):
    """One image (row, column, channel), weights (out, in, 3, 3), zeros beyond the border."""
    rows, columns, _ = image.shape
    found = np.zeros((rows, columns, len(weights)))
    for r in range(rows):
        for c in range(columns):
            for a in range(3):
                for b in range(3):
                    if 0 <= r + a - 1 < rows and 0 <= c + b - 1 < columns:
                        found[r, c] += weights[:, :, a, b] @ image[r + a - 1, c + b - 1]
    return found


def cnn(image, hidden, readout):
    """tanh network; sides of 8 or more are halved after every second layer but the last."""
    x = image
    for number, weights in enumerate(hidden, 1):
        x = np.tanh(convolve(x, weights))
        if number % 2 == 0 and number < len(hidden) and len(x) >= 8:
            half = np.zeros((len(x) // 2, x.shape[1] // 2, x.shape[2]))
            for r in range(half.shape[0]):
                for c in range(half.shape[1]):
                    half[r, c] = x[2 * r : 2 * r + 2, 2 * c : 2 * c + 2].reshape(4, -1).mean(0)
            x = half
    return readout @ x.reshape(-1, x.shape[-1]).mean(0)


def normalize(x, gain, bias):
    """Of each token (position, channel)."""
    return np.array([gain * (t - t.mean()) / np.sqrt(t.var() + 1e-5) + bias for t in x])


def block(x, weights, heads, scale):
    """One transformer block with tanh, on one sequence (position, channel); also its attention."""
    positions, width = x.shape
    size = width // heads
    n = normalize(x, *weights["norm 1"])
    attention = np.zeros((heads, positions, positions))
    mixed = np.zeros((positions, width))
    for h in range(heads):
        part = slice(h * size, (h + 1) * size)
        for q in range(positions):
            query = weights["query"][part] @ n[q]
            logits = [scale * query @ (weights["key"][part] @ n[k]) for k in range(q + 1)]
            attention[h, q, : q + 1] = np.exp(logits) / np.exp(logits).sum()
            for k in range(q + 1):
                mixed[q, part] += attention[h, q, k] * (weights["value"][part] @ n[k])
    x = x + mixed @ weights["out"].T
    hidden = np.tanh(normalize(x, *weights["norm 2"]) @ weights["up"].T)
    return x + hidden @ weights["down"].T, attention
