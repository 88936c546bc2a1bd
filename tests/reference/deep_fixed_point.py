r"""Slow twin of the causal pass: the equations of all layers and times at once, iterated to a fixed point.

NumPy only and sharing no code with the package. Memory grows as (points x outputs x steps)^2 and every
iteration factorizes each kernel anew: meant for two points, five steps and about a hundred sites.

$$ h^l = u^l + [A^{l-1} + \eta\gamma\, \Theta \Delta \Phi^{l-1}] g^l, \qquad
   z^l = r^l + [B^l + \eta\gamma\, \Theta \Delta G^{l+1}] \phi^l, \qquad g^l = \phi'(h^l) z^l $$

with $\Theta(t, s) = 1$ for s < t, $u = C_u \epsilon_u$ and $C_u C_u^T = \Phi^{l-1}$, and r likewise of
G^{l+1}; by parts in the white Gaussians, $A^l = \langle \phi \epsilon_r^T \rangle C_r^{-1}$ of the noise at
s < t and $B^{l-1} = \langle g \epsilon_u^T \rangle C_u^{-1}$ of that at s <= t.
"""

from collections.abc import Callable

import numpy as np

JITTER = 1e-9  # of the mean diagonal of each step's block, added to its diagonal
Function = Callable[[np.ndarray], np.ndarray]


def fixed_point(
    gaussians: list[tuple[np.ndarray, np.ndarray]],
    input_kernel: np.ndarray,
    targets: np.ndarray,
    train: int,
    *,
    phi: Function,
    slope: Function,
    learning_rate: float,
    steps: int,
    richness: float,
    centered: bool,
    tolerance: float = 1e-11,
    iterations: int = 200,
) -> tuple[list[dict[str, np.ndarray]], np.ndarray, list[float]]:
    """Squared error summed over points and outputs, gradient descent, on the Gaussians given.

    **Arguments:** `gaussians` of each layer, (u, r): white (site, step, point) and (site, step, point x
    output), but h at initialization (site, 1, point) at the first layer and w (site, 1, output) at the last.
    **Returns:** of each layer Phi, G, A, B (below it) as (step, a, step, b); the outputs before centering
    (step, point, output); and the largest change of any order parameter in each iteration. Raises
    `ArithmeticError` unless the last is below `tolerance`.
    """
    points, outputs = targets.shape
    depth, sites, each = len(gaussians), len(gaussians[0][0]), points * outputs
    before = {a: {b: _mask(steps, a, b, present=False) for b in (points, each)} for a in (points, each)}
    until = _mask(steps, each, points, present=True)
    bottom = np.tile(input_kernel, (steps, steps))
    top = np.tile(np.eye(outputs), (steps * points, steps * points))
    feature = [bottom] + [np.eye(steps * points)] * depth
    gradient = [np.zeros(0)] + [np.eye(steps * each)] * depth + [top]
    forward = [np.zeros((steps * points, steps * each))] * (depth + 1)  # A^l, l = 0..L
    backward = [np.zeros((steps * each, steps * points))] * (depth + 1)  # B^l
    activity = [np.zeros((sites, steps * points))] * (depth + 1)
    errors = [np.zeros((sites, steps * each))] * (depth + 1)
    output = np.zeros((steps, points, outputs))
    changes: list[float] = []
    for _ in range(iterations):
        residual = targets - (output - output[0] if centered else output)
        residual[:, train:] = 0.0
        kick = learning_rate * richness * residual.reshape(-1)
        old = [output, *feature[1:], *gradient[1:-1], *forward, *backward]
        factors: list[tuple] = [()]
        new_activity, new_errors = [activity[0]], [errors[0]]
        for layer in range(1, depth + 1):
            white_u, white_r = (x.reshape(sites, -1) for x in gaussians[layer - 1])
            c_u = None if layer == 1 else _factor(feature[layer - 1], steps)
            c_r = None if layer == depth else _factor(gradient[layer + 1], steps)
            factors.append((c_u, c_r))
            u = np.tile(white_u, (1, steps)) if c_u is None else white_u @ c_u.T
            r = np.tile(white_r, (1, steps * points)) if c_r is None else white_r @ c_r.T
            into_h = np.repeat(feature[layer - 1], outputs, axis=1) * kick * before[points][each]
            h = u + errors[layer] @ (into_h + forward[layer - 1]).T
            taught = (gradient[layer + 1] * kick).reshape(steps * each, -1, outputs).sum(2)
            z = r + activity[layer] @ (taught * before[each][points] + backward[layer]).T
            new_activity.append(phi(h))
            new_errors.append(np.repeat(slope(h), outputs, axis=1) * z)
            if layer == depth:
                products = phi(h).reshape(sites, steps, points, 1) * z.reshape(sites, steps, points, outputs)
                output = products.mean(0) / richness
        activity, errors = new_activity, new_errors
        feature = [bottom] + [x.T @ x / sites for x in activity[1:]]
        gradient = [gradient[0]] + [x.T @ x / sites for x in errors[1:]] + [top]
        forward, backward = list(forward), list(backward)
        for layer in range(1, depth + 1):
            white_u, white_r = (x.reshape(sites, -1) for x in gaussians[layer - 1])
            c_u, c_r = factors[layer]
            if c_r is not None:
                along = activity[layer].T @ white_r / sites * before[points][each]
                forward[layer] = np.linalg.solve(c_r.T, along.T).T
            if c_u is not None:
                along = errors[layer].T @ white_u / sites * until
                backward[layer - 1] = np.linalg.solve(c_u.T, along.T).T
        new = [output, *feature[1:], *gradient[1:-1], *forward, *backward]
        changes.append(max(float(np.abs(a - b).max()) for a, b in zip(old, new, strict=True)))
        if changes[-1] < tolerance:
            break
    if not changes[-1] < tolerance:
        raise ArithmeticError(f"not solved: the last change is {changes[-1]}")
    found = []
    for layer in range(1, depth + 1):
        found.append(
            {
                "phi": feature[layer].reshape(steps, points, steps, points),
                "g": gradient[layer].reshape(steps, each, steps, each),
                "a": forward[layer].reshape(steps, points, steps, each),
                "b": backward[layer - 1].reshape(steps, each, steps, points),
            }
        )
    return found, output, changes


def _mask(steps: int, a: int, b: int, *, present: bool) -> np.ndarray:
    """One where s < t, and where s = t if `present`; rows (t, a), columns (s, b)."""
    return np.kron(np.tri(steps, k=0 if present else -1), np.ones((a, b)))


def _factor(kernel: np.ndarray, steps: int) -> np.ndarray:
    """The Cholesky factor, with the jitter of every step's block."""
    means = np.diag(kernel).reshape(steps, -1).mean(1)
    return np.linalg.cholesky(kernel + JITTER * np.diag(np.repeat(means, len(kernel) // steps)))
