"""Slow twin of the finite network: plain NumPy in float64, loops where they are clearer.

Weights are a list [W^0, ..., W^{L-1}, w]. Derivatives of the activations, backpropagation, losses and the
tangent kernel (from an explicit Jacobian over all weights) are written out by hand.
"""

import math

import numpy as np

_normal_cdf = np.vectorize(lambda h: 0.5 * (1 + math.erf(h / math.sqrt(2))))
_normal_pdf = np.vectorize(lambda h: math.exp(-h * h / 2) / math.sqrt(2 * math.pi))

ACTIVATIONS = {
    "linear": (lambda h: h, np.ones_like),
    "relu": (lambda h: np.where(h > 0, h, 0.0), lambda h: np.where(h > 0, 1.0, 0.0)),
    "tanh": (np.tanh, lambda h: 1 / np.cosh(h) ** 2),
    "erf": (np.vectorize(math.erf), lambda h: 2 / math.sqrt(math.pi) * np.exp(-(h**2))),
    "gelu": (lambda h: h * _normal_cdf(h), lambda h: _normal_cdf(h) + h * _normal_pdf(h)),
    "softplus": (lambda h: np.log1p(np.exp(h)), lambda h: 1 / (1 + np.exp(-h))),
}


def phi(network, h):
    scale, gain = network.activation_scale, network.activation_gain
    return gain * ACTIVATIONS[network.activation][0](scale * h) / scale


def phi_prime(network, h):
    return network.activation_gain * ACTIVATIONS[network.activation][1](network.activation_scale * h)


def fields(weights, network, x):
    """h^1 .. h^L of one input."""
    h = [weights[0] @ x / np.sqrt(len(x))]
    for w in weights[1:-1]:
        h.append(w @ phi(network, h[-1]) / np.sqrt(len(h[-1])))
    return h


def output(weights, network, x):
    features = phi(network, fields(weights, network, x)[-1])
    return weights[-1] @ features / (network.richness * len(features))


def outputs(weights, network, inputs):
    return np.array([output(weights, network, x) for x in inputs])


def jacobian(weights, network, x):
    """d f_c / d W for every tensor: a list of arrays (C, *tensor.shape)."""
    h = fields(weights, network, x)
    width, outputs = len(h[0]), len(weights[-1])
    slopes = [np.zeros((outputs, *w.shape)) for w in weights]
    for c in range(outputs):
        slopes[-1][c, c] = phi(network, h[-1]) / (network.richness * width)
        upstream = phi_prime(network, h[-1]) * weights[-1][c] / (network.richness * width)
        for layer in range(len(h) - 1, 0, -1):
            slopes[layer][c] = np.outer(upstream, phi(network, h[layer - 1])) / np.sqrt(width)
            upstream = phi_prime(network, h[layer - 1]) * (weights[layer].T @ upstream) / np.sqrt(width)
        slopes[0][c] = np.outer(upstream, x) / np.sqrt(len(x))
    return slopes


def kernels(weights, network, inputs):
    """Phi^l and G^l (layer, point, point) from fields, K (point, point) from the Jacobian over weights."""
    width, outputs = weights[-1].shape[1], weights[-1].shape[0]
    features = [[phi(network, h) for h in fields(weights, network, x)] for x in inputs]
    layers = len(features[0])
    feature = [[[a[layer] @ b[layer] / width for b in features] for a in features] for layer in range(layers)]
    gradient = np.zeros((layers, len(inputs), len(inputs)))
    tangent = np.zeros((len(inputs), len(inputs)))
    rows = [jacobian(weights, network, x) for x in inputs]
    back = [backward_fields(weights, network, x) for x in inputs]
    for m in range(len(inputs)):
        for n in range(len(inputs)):
            for c in range(outputs):
                inner = sum(np.sum(a[c] * b[c]) for a, b in zip(rows[m], rows[n], strict=True))
                tangent[m, n] += network.richness**2 * width * inner / outputs
                for layer in range(layers):
                    gradient[layer, m, n] += back[m][layer][c] @ back[n][layer][c] / width / outputs
    return np.array(feature), gradient, tangent


def backward_fields(weights, network, x):
    """g^l_c = phi'(h^l) z^l, a list over layers of arrays (C, N)."""
    h = fields(weights, network, x)
    back = [phi_prime(network, h[-1]) * weights[-1]]
    for layer in range(len(h) - 1, 0, -1):
        z = back[0] @ weights[layer] / np.sqrt(len(h[0]))
        back.insert(0, phi_prime(network, h[layer - 1]) * z)
    return back


def loss(f, y, training):
    """Loss over points, f and y (P, C)."""
    if training.loss == "mse":
        each = [0.5 * np.sum((a - b) ** 2) for a, b in zip(y, f, strict=True)]
    else:
        each = [-np.sum(a * (b - np.log(np.sum(np.exp(b))))) for a, b in zip(y, f, strict=True)]
    return sum(each) / (len(each) if training.reduction == "mean" else 1)


def residual(f, y, training):
    """-d loss of one point / d f."""
    if training.loss == "mse":
        return y - f
    return y - np.exp(f) / np.sum(np.exp(f)) * np.sum(y)


def velocity(weights, network, training, points, origin):
    """-gamma^2 N dL/dW, one array a tensor."""
    inputs, targets = points
    moved = [np.zeros_like(w) for w in weights]
    width = weights[-1].shape[1]
    for x, y, f0 in zip(inputs, targets, origin, strict=True):
        delta = residual(output(weights, network, x) - f0, y, training)
        for total, slope in zip(moved, jacobian(weights, network, x), strict=True):
            total += network.richness**2 * width * np.tensordot(delta, slope, 1)
    return [v / (len(inputs) if training.reduction == "mean" else 1) for v in moved]


def train(weights, study, inputs, targets, train_points):
    """Weights at steps 0 .. steps - 1, and f at initialization (zero if not centered)."""
    network, training = study.network, study.training
    origin = outputs(weights, network, inputs) * network.centered
    points = inputs[:train_points], targets[:train_points]
    eta = training.learning_rate

    def v(w):
        return velocity(w, network, training, points, origin[:train_points])

    def add(w, d, length):
        return [a + length * b for a, b in zip(w, d, strict=True)]

    path = [weights]
    for _ in range(training.steps - 1):
        w = path[-1]
        if training.optimizer == "gd":
            w = add(w, v(w), eta)
        else:
            for _ in range(training.substeps):
                dt = eta / training.substeps
                k1 = v(w)
                k2 = v(add(w, k1, dt / 2))
                k3 = v(add(w, k2, dt / 2))
                k4 = v(add(w, k3, dt))
                w = [
                    a + dt / 6 * (b + 2 * c + 2 * d + e)
                    for a, b, c, d, e in zip(w, k1, k2, k3, k4, strict=True)
                ]
        path.append(w)
    return path, origin
