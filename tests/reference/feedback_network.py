"""Slow twin of networks whose errors travel through frozen feedback: plain NumPy, loops over points.

Everything follows from the pseudo-Jacobian, what the rule takes for d f_c / d W: the velocity contracts it
with the residual, the tangent kernel with the true Jacobian.
"""

import finite_network as plain
import numpy as np


def pseudo_jacobian(weights, feedback, network, x):
    """The rule's stand-in for d f_c / d W, a list of arrays (C, *tensor.shape).

    `feedback`: one matrix a layer; square ones carry errors from the layer above, others from the outputs.
    """
    h = plain.fields(weights, network, x)
    width, outputs = len(h[0]), len(weights[-1])
    slopes = [np.zeros((outputs, *w.shape)) for w in weights]
    for c in range(outputs):
        slopes[-1][c, c] = plain.phi(network, h[-1]) / (network.richness * width)
        for layer, g in enumerate(backward_fields(feedback, network, h, c)):
            below = x if layer == 0 else plain.phi(network, h[layer - 1])
            slopes[layer][c] = np.outer(g, below) / np.sqrt(len(below)) / (network.richness * width)
    return slopes


def backward_fields(feedback, network, h, c):
    """g~^1 .. g~^L of output c."""
    back = []
    for layer in reversed(range(len(h))):
        matrix = feedback[layer]
        if len(matrix) == len(h[0]) and layer < len(h) - 1:
            arriving = sum(row * g for row, g in zip(matrix, back[0], strict=True)) / np.sqrt(len(h[0]))
        else:
            arriving = matrix[c]
        back.insert(0, plain.phi_prime(network, h[layer]) * arriving)
    return back


def kernels(weights, feedback, network, inputs):
    """G~^l (layer, point, point) and the effective K (point, point), means over outputs."""
    width, outputs, count = weights[-1].shape[1], len(weights[-1]), len(inputs)
    gradient, tangent = np.zeros((len(feedback), count, count)), np.zeros((count, count))
    true = [plain.jacobian(weights, network, x) for x in inputs]
    pseudo = [pseudo_jacobian(weights, feedback, network, x) for x in inputs]
    fields = [plain.fields(weights, network, x) for x in inputs]
    for c in range(outputs):
        back = [backward_fields(feedback, network, h, c) for h in fields]
        for m in range(count):
            for n in range(count):
                inner = sum(np.sum(a[c] * b[c]) for a, b in zip(true[m], pseudo[n], strict=True))
                tangent[m, n] += network.richness**2 * width * inner / outputs
                for layer in range(len(feedback)):
                    gradient[layer, m, n] += back[m][layer] @ back[n][layer] / width / outputs
    return gradient, tangent


def train(weights, feedback, study, inputs, targets):
    """Weights at steps 0 .. steps - 1 and f at initialization; all points are training points, "sum"."""
    network, training = study.network, study.training
    origin = plain.outputs(weights, network, inputs) * network.centered
    factor = network.richness**2 * weights[-1].shape[1]

    def step(start, base, length):
        moved = [np.array(w) for w in base]
        for x, y, f0 in zip(inputs, targets, origin, strict=True):
            delta = plain.residual(plain.output(start, network, x) - f0, y, training)
            for w, slope in zip(moved, pseudo_jacobian(start, feedback, network, x), strict=True):
                w += length * factor * np.tensordot(delta, slope, 1)
        return moved

    path, dt = [weights], training.learning_rate / training.substeps
    for _ in range(training.steps - 1):
        w = path[-1]
        if training.optimizer == "gd":
            w = step(w, w, training.learning_rate)
        else:
            for _ in range(training.substeps):
                second = step(w, w, dt / 2)
                third = step(second, w, dt / 2)
                fourth = step(third, w, dt)
                last = step(fourth, w, dt)
                # The stages are w + dt k1 / 2, w + dt k2 / 2, w + dt k3 and w + dt k4.
                stages = zip(w, second, third, fourth, last, strict=True)
                w = [a + (2 * b + 4 * c + 2 * d + e - 9 * a) / 6 for a, b, c, d, e in stages]
        path.append(w)
    return path, origin
