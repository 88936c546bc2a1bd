"""How sharply the loss curves along the steepest direction in which training can move."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key, PyTree

# Matrix-vector products for one sharpness; each costs two to three gradients.
ITERATIONS = 24
# An off-diagonal entry this many times rounding, next to those before it, is rounding.
EXHAUSTED = 50.0


class Sharpness(NamedTuple):
    """The largest Ritz `value` lambda, and `residual` |A v - lambda v| for its unit vector v."""

    value: Float[Array, ""]
    residual: Float[Array, ""]


def preconditioned_sharpness(
    loss: Callable[[PyTree], Float[Array, ""]],
    weights: PyTree[Float[Array, "..."]],
    rates: PyTree[Float[Array, "..."]],
    key: Key[Array, ""],
    *,
    iterations: int = ITERATIONS,
) -> Sharpness:
    r"""The algebraically largest eigenvalue of the Hessian H of the loss, in units of the learning rates R.

    $$S = \lambda_{max}(A), \qquad A = R^{1/2} H R^{1/2}, \qquad R = diag(rates)$$

    Gradient descent with these rates is stable along v where v.Av < 2, with momentum beta where it is below
    2 (1 + beta). S is a pure number, O(1) in width in mean-field parametrization. By Lanczos' method with
    full reorthogonalization, which finds both ends of the spectrum: at initialization the spectrum is nearly
    symmetric, where a power iteration may return the negative end or nothing.

    **Arguments:** `rates`, nonnegative, for each tensor a number or an array of its shape (Adam: the rate
    over the root of its second moment); `key`, of the random first vector; `iterations`, products with H, at
    most as many as there are weights. Memory is taken for twice so many copies of the weights.
    **Returns:** `value`, never above S but for rounding; some eigenvalue of A lies within `residual` of it,
    and S - value <= residual^2 / gap, gap the distance from `value` to the next eigenvalue. NaN where the
    loss's derivatives are not finite, as in a network that diverged.
    **Source:** Cohen et al. (2021), arXiv 2103.00065; preconditioned: Cohen et al. (2022), arXiv 2207.14484.
    """
    from matfree import decomp

    flat, unravel = ravel_pytree(weights)
    roots, _ = ravel_pytree(jax.tree.map(lambda w, rate: jnp.broadcast_to(rate, w.shape), weights, rates))
    roots = jnp.sqrt(roots).astype(flat.dtype)
    slope = jax.grad(lambda w: loss(unravel(w)))

    def product(vector: Float[Array, "weight"]) -> Float[Array, "weight"]:
        return roots * jax.jvp(slope, (flat,), (roots * vector,))[1]

    lanczos = decomp.tridiag_sym(min(iterations, flat.size), reortho="full", custom_vjp=False)
    start = jax.random.normal(key, flat.shape, flat.dtype)
    basis, tridiagonal, *_ = lanczos(product, start)
    tridiagonal, basis = jnp.asarray(tridiagonal), jnp.asarray(basis)
    ritz, rotation = jnp.linalg.eigh(_leading_block(tridiagonal))
    top = rotation[:, -1] @ jnp.where(jnp.isfinite(basis), basis, 0)
    # The first product decides: where it is finite, Lanczos fails only after its space is exhausted.
    value = jnp.where(jnp.isfinite(tridiagonal[0, 0]), ritz[-1], jnp.nan)
    return Sharpness(value, jnp.linalg.norm(product(top) - value * top))


def _leading_block(tridiagonal: Float[Array, "k k"]) -> Float[Array, "k k"]:
    """The matrix until its Krylov space is exhausted; rows after that are decoupled, below all eigenvalues.

    There the off-diagonal entry is zero to rounding, as at once when all rates are zero. What Lanczos divides
    by it and goes on with is rounding or not a number, while the block before is exact.
    """
    diagonal, beside = jnp.diagonal(tridiagonal), jnp.diagonal(tridiagonal, 1)
    size = jnp.maximum(jnp.abs(diagonal[:-1]), jnp.abs(beside))
    # Comparisons with NaN are false.
    goes_on = jnp.abs(beside) > EXHAUSTED * jnp.finfo(beside.dtype).eps * jax.lax.cummax(size)
    finite = jnp.isfinite(diagonal)
    good = jnp.cumprod(finite & jnp.append(True, goes_on)) > 0
    block = jnp.where(good[:, None] & good[None, :], tridiagonal, 0)
    below = -1 - 4 * jnp.abs(block).max()
    return block + jnp.diag(jnp.where(good, 0, below))
