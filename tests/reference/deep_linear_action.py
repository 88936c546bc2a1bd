r"""Dense twin of the deep linear fluctuations: Sigma = -[Hessian of the action]^{-1}, JAX in float64.

Variables of one training point over T steps, layer by layer: H, G and their conjugates (symmetric T x T,
entered as full matrices and symmetrized inside), A and B (full T x T), Delta and its conjugate: in all
(6L - 2) T^2 + 2T. With X = [[0, C], [D, 0]] and the conjugates Omega = [[H^, F], [F, G^]] of one layer,

    S = 1/2 sum_l tr(H^l H^ + G^l G^) - sum_l tr(A^l B^l) + Delta^ . (equation of Delta)
        - sum_l { log det(1 - X) + 1/2 log det(1 + (1 - X)^{-1} diag(H^{l-1}, G^{l+1}) (1 - X)^{-T} Omega) }

At the solution every conjugate vanishes. Shares no code with the package but the solution it is given.
"""

import jax
import jax.numpy as jnp
import numpy as np

CHUNK = 256  # Hessian columns at a time


def dense_covariance(solution, compiled=None):
    """N Cov of all order parameters: a dictionary of index arrays and the matrix they index.

    `compiled` is what `compile_hessian` returns, to time the rest without it.
    Keys ("H", l), ("G", l) -> (T, T) and "residual" -> (T,), l = 1..L.
    """
    with jax.enable_x64(True):
        point, unpack_shapes, action = _action(solution)
        hessian = _hessian(point, compiled or compile_hessian(solution))
        slope = jax.grad(action)(point)
        assert float(jnp.abs(slope).max()) < 1e-9, "the solution does not make the action stationary"
        inverse = np.linalg.inv(np.asarray(hessian))
    np.negative(inverse, out=inverse)
    return unpack_shapes, inverse


def dense_variances(solution, compiled=None):
    """N Var of Delta (T), H (L, T), G (L, T) and K (T) at equal times, one point."""
    where, covariance = dense_covariance(solution, compiled)
    layers, steps = len(solution.feature_kernel), len(solution.residual)
    equal = np.arange(steps)
    index = {name: (rows if rows.ndim == 1 else rows[equal, equal]) for name, rows in where.items()}
    found = {
        "residual": covariance[index["residual"], index["residual"]],
        "feature": np.stack([covariance[index["H", n], index["H", n]] for n in range(1, layers + 1)]),
        "gradient": np.stack([covariance[index["G", n], index["G", n]] for n in range(1, layers + 1)]),
    }
    kernel = np.zeros(steps)
    for t in range(steps):
        h = np.concatenate([[1.0], solution.feature_kernel[:, t, t]])
        g = np.concatenate([solution.gradient_kernel[:, t, t], [1.0]])
        # K = sum_{l=0..L} G^{l+1} H^l
        rows = [index["H", n][t] for n in range(1, layers + 1)]
        rows += [index["G", n][t] for n in range(1, layers + 1)]
        slope = np.concatenate([g[1:], h[:-1]])
        kernel[t] = slope @ covariance[np.ix_(rows, rows)] @ slope
    return found | {"tangent": kernel}


def mean_shift_of_residual(solution):
    """N (mean - infinite width) of Delta(t): 1/2 Sigma S''' Sigma."""
    where, covariance = dense_covariance(solution)
    with jax.enable_x64(True):
        point, _, action = _action(solution)
        sigma = jnp.asarray(covariance)
        values, vectors = jnp.linalg.eigh((sigma + sigma.T) / 2)

        def second(x, direction):
            return jax.jvp(lambda y: jax.jvp(action, (y,), (direction,))[1], (x,), (direction,))[1]

        def term(carry, pair):
            value, direction = pair
            return carry + value * jax.grad(second)(point, direction), None

        slope, _ = jax.lax.scan(term, jnp.zeros_like(point), (values, vectors.T))
        shift = 0.5 * sigma @ slope
    return np.asarray(shift)[where["residual"]]


def compile_hessian(solution):
    """The compiled function from directions (CHUNK, variable) to Hessian rows; call it under float64."""
    with jax.enable_x64(True):
        point, _, action = _action(solution)
        along = jax.jit(jax.vmap(lambda v: jax.jvp(jax.grad(action), (point,), (v,))[1]))
        rows = jax.ShapeDtypeStruct((min(CHUNK, len(point)), len(point)), jnp.float64)
        return along.lower(rows).compile()


def _hessian(point, along):
    size = len(point)
    chunk = min(CHUNK, size)
    rows = np.empty((size, size))
    for start in range(0, size, chunk):
        start = min(start, size - chunk)
        directions = np.zeros((chunk, size))
        directions[np.arange(chunk), start + np.arange(chunk)] = 1.0
        rows[start : start + chunk] = along(jnp.asarray(directions))
    return rows


def _action(solution):
    problem = solution.problem
    layers, steps = problem.hidden_layers, problem.steps
    assert problem.points == 1 and problem.input_kernel == 1.0, "one point with |x|^2 = D"
    rate, gamma, target = problem.learning_rate, problem.richness, float(problem.targets[0])
    earlier = jnp.tril(jnp.ones((steps, steps)), -1)
    one = jnp.eye(steps)
    size = steps * steps
    blocks = [(kind, n) for n in range(1, layers + 1) for kind in ("H", "G", "H^", "G^")]
    blocks += [(kind, n) for n in range(1, layers) for kind in ("A", "B")]
    where = {name: np.arange(k * size, (k + 1) * size).reshape(steps, steps) for k, name in enumerate(blocks)}
    base = len(blocks) * size
    where["residual"], where["conjugate"] = base + np.arange(steps), base + steps + np.arange(steps)

    point = np.zeros(base + 2 * steps)
    for n in range(1, layers + 1):
        point[where["H", n]], point[where["G", n]] = (
            solution.feature_kernel[n - 1],
            solution.gradient_kernel[n - 1],
        )
    for n in range(1, layers):
        point[where["A", n]] = solution.forward_response[n - 1]
        point[where["B", n]] = solution.backward_response[n - 1]
    point[where["residual"]] = solution.residual[:, 0]

    def action(x):
        def symmetric(kind, n):
            full = x[where[kind, n]]
            return (full + full.T) / 2

        h, g = [jnp.ones((steps, steps))], [None]
        for n in range(1, layers + 1):
            h.append(symmetric("H", n))
            g.append(symmetric("G", n))
        g.append(jnp.ones((steps, steps)))
        delta, conjugate = x[where["residual"]], x[where["conjugate"]]
        drive = gamma * rate * earlier * delta[None, :]

        if problem.residual_rule == "forward_pass":
            total = conjugate @ (target - delta)
            product = conjugate / gamma
            if problem.centered:
                product = product.at[0].add(-conjugate.sum() / gamma)
        else:
            kernel = sum(jnp.diagonal(g[n + 1]) * jnp.diagonal(h[n]) for n in range(layers + 1))
            moved = delta * (1 - rate * kernel)
            total = conjugate[0] * (target - delta[0]) + conjugate[1:] @ (moved[:-1] - delta[1:])
            product = jnp.zeros(steps)
        for n in range(1, layers + 1):
            # The antisymmetric parts are kept out of the rest, and made regular here.
            total += 0.5 * (jnp.sum(x[where["H", n]] * x[where["H^", n]]))
            total += 0.5 * (jnp.sum(x[where["G", n]] * x[where["G^", n]]))
        for n in range(1, layers):
            total -= jnp.sum(x[where["A", n]] * x[where["B", n]].T)
        for n in range(1, layers + 1):
            forward = drive * h[n - 1] + (x[where["A", n - 1]] if n > 1 else 0.0)
            backward = drive * g[n + 1] + (x[where["B", n]] if n < layers else 0.0)
            cross = jnp.diag(product) if n == layers else jnp.zeros((steps, steps))
            omega = jnp.block([[symmetric("H^", n), cross], [cross, symmetric("G^", n)]])
            mixing = jnp.block([[one, -forward], [-backward, one]])
            zero = jnp.zeros((steps, steps))
            source = jnp.block([[h[n - 1], zero], [zero, g[n + 1]]])
            moment = jnp.linalg.solve(mixing, jnp.linalg.solve(mixing, source).T)
            total -= jnp.linalg.slogdet(mixing)[1]
            total -= 0.5 * jnp.linalg.slogdet(jnp.eye(2 * steps) + moment @ omega)[1]
        return total

    return jnp.asarray(point), where, action
