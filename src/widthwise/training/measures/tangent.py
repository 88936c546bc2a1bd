"""The tangent kernel of any network, in bounded memory, and its spectrum."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Num, PyTree

from widthwise.errors import InputError


class Spectrum(NamedTuple):
    """Eigenvalues of K / P, descending, and the power of the targets in each eigenvector."""

    eigenvalue: Float[Array, "mode"]
    task_power: Float[Array, "mode"]


def tangent_kernel(
    output_of: Callable[[PyTree, Num[Array, "point *shape"]], Float[Array, "point output"]],
    weights: PyTree[Float[Array, "..."]],
    rates: PyTree[Float[Array, "..."]],
    inputs: Num[Array, "point *shape"],
    *,
    block: int,
    coupled: bool = True,
) -> Float[Array, "point point"]:
    r"""How much training at x' moves the output at x, mean over the C outputs c.

    $$K(x, x') = \frac1C \sum_c \sum_g r_g \, \nabla_g f_c(x) \cdot \nabla_g f_c(x')$$

    over tensors g with relative rates r_g; O(1) in width with the rates of mean-field parametrization
    (gamma^2 N for every tensor of the perceptron). Exact to rounding, symmetric, positive semi-definite.
    Outputs are taken one after another, and of points no more than `block` gradients are held.

    **Arguments:** `output_of(weights, inputs)`, the outputs at all points; `rates`, nonnegative, for each
    tensor a number or an array of its shape; `block`, see `choose_block`: with fewer than all points,
    gradients are computed again for each pair of half blocks (see `backward_passes`); `coupled`, whether an
    output depends on the other points too, as through batch normalization. Then each gradient is a backward
    pass through all points with a one-hot cotangent; if not, through one point, P times cheaper. Setting it
    where it is not needed costs time; not setting it where it is gives the kernel of batches of one point.
    """
    points = len(inputs)
    tile = _tile(points, block)
    count = -(-points // tile)
    # The last point fills the last tile up, and is cut off at the end.
    order = jnp.minimum(jnp.arange(count * tile), points - 1).reshape(count, tile)
    roots = jax.tree.map(lambda rate: jnp.sqrt(rate), rates)
    slopes = _slopes_together if coupled else _slopes_apart
    outputs = jax.eval_shape(output_of, weights, inputs).shape[1]

    def rows(output: Int[Array, ""], which: Int[Array, ""]) -> list[Float[Array, "tile _"]]:
        found = slopes(output_of, weights, inputs, (order[which], output))
        scaled = jax.tree.map(lambda slope, root: slope * root, found, roots)
        return [leaf.reshape(tile, -1) for leaf in jax.tree.leaves(scaled)]

    def of_output(output: Int[Array, ""]) -> Float[Array, "row row"]:
        def of_tile(upper: Int[Array, ""]) -> Float[Array, "tile row"]:
            left = rows(output, upper)

            def beside(lower: Int[Array, ""], strip: Float[Array, "count tile tile"]) -> Array:
                return strip.at[lower].set(_products(left, rows(output, lower)))

            strip = jnp.zeros((count, tile, tile), left[0].dtype).at[upper].set(_products(left, left))
            if count > 1:
                strip = jax.lax.fori_loop(upper + 1, count, beside, strip)
            return strip.transpose(1, 0, 2).reshape(tile, count * tile)

        return jax.lax.map(of_tile, jnp.arange(count)).reshape(count * tile, count * tile)

    def add(total: Float[Array, "row row"], output: Int[Array, ""]) -> tuple[Float[Array, "row row"], None]:
        return total + of_output(output), None

    start = jnp.zeros((count * tile,) * 2, jax.tree.leaves(weights)[0].dtype)
    total, _ = jax.lax.scan(add, start, jnp.arange(outputs))
    # What lies below the diagonal of tiles was left out: take all from above the diagonal.
    upper = jnp.triu(total / outputs)[:points, :points]
    return upper + jnp.triu(upper, 1).T


def backward_passes(points: int, outputs: int, block: int) -> int:
    """Gradients that `tangent_kernel` computes: C P if all points fit into the block, else about
    C P^2 / block.

    >>> backward_passes(64, 10, 64), backward_passes(64, 10, 32)
    (640, 1600)
    """
    tile = _tile(points, block)
    count = -(-points // tile)
    return outputs * tile * count * (count + 1) // 2


def tangent_kernel_bytes(parameters: int, points: int, outputs: int, block: int, itemsize: int = 4) -> int:
    """Most bytes that `tangent_kernel` takes beside what one forward and backward pass takes.

    The gradients of up to `block` points (as they come and scaled by their rates), kernels, and outputs.
    """
    held = min(points, 2 * _tile(points, block))
    gradients = (held + _tile(points, block)) * parameters
    return itemsize * (gradients + 5 * (points + held) ** 2 + 2 * points * outputs)


def choose_block(parameters: int, points: int, outputs: int, budget: int, itemsize: int = 4) -> int:
    """The largest block of points whose gradients fit into `budget` bytes.

    **Errors:** `InputError`, with the numbers, if not even two points' gradients fit.
    """
    fits = [points, *(block for block in range(points - points % 2, 1, -2) if block < points)]
    for block in fits:
        if tangent_kernel_bytes(parameters, points, outputs, block, itemsize) <= budget:
            return block
    needed = tangent_kernel_bytes(parameters, points, outputs, min(points, 2), itemsize)
    raise InputError(
        f"the tangent kernel of {points} points and {parameters} weights needs {needed / 1e9:.3g} GB for two "
        f"gradients at a time, and {budget / 1e9:.3g} GB may be used: lower `ensemble.widths` or "
        '`record.train_points`, or leave "tangent_kernel" out of `record.quantities`'
    )


def mode_count(train: int, points: int, modes: int) -> int:
    """How many modes are kept: `modes`, or as many as there are points that the spectrum is taken of."""
    return min(modes, train or points)


def spectrum(
    kernel: Float[Array, "point point"], targets: Float[Array, "point output"], train: int, modes: int
) -> Spectrum:
    r"""The leading eigenvalues of the tangent kernel and the task power, of the recorded training points.

    $$K / P = U \, diag(\lambda) \, U^T, \qquad c_k = \sum_c (u_k \cdot y_c)^2$$

    In the lazy limit, at rate eta of a loss summed over points, c_k is what mode k adds to the squared
    residual, which falls as exp(-2 eta P lambda_k steps). Both are O(1) in width.

    **Arguments:** `kernel`, K, its antisymmetric part of rounding is dropped; `train`, how many of the points
    are training points, first: P is their number, or that of all points if there are none.
    **Returns:** `mode_count` of each, eigenvalues descending. Eigenvalues are good to rounding times the
    largest; where two lie that close only the sum of their powers means anything. All of c_k sum to |y|^2.
    """
    points = train or len(kernel)
    part, y = kernel[:points, :points], targets[:points].astype(kernel.dtype)
    values, vectors = jnp.linalg.eigh((part + part.T) / (2 * points))
    power = ((vectors.T @ y) ** 2).sum(1)
    kept = mode_count(train, len(kernel), modes)
    return Spectrum(values[::-1][:kept], power[::-1][:kept])


def _tile(points: int, block: int) -> int:
    """Points on each side of a product of gradients; two different sides are held at once."""
    return points if block >= points else max(1, block // 2)


def _products(left: list[Float[Array, "tile _"]], right: list[Float[Array, "tile _"]]) -> Array:
    total = left[0] @ right[0].T
    for one, other in zip(left[1:], right[1:], strict=True):
        total += one @ other.T
    return total


def _slopes_together(
    output_of: Callable, weights: PyTree, inputs: Array, where: tuple[Array, Array]
) -> PyTree:
    """Gradients of one output at the points `where`, from the outputs at all points."""
    result, pull = jax.vjp(lambda w: output_of(w, inputs), weights)

    def slope(point: Int[Array, ""]) -> PyTree:
        (found,) = pull(jnp.zeros_like(result).at[point, where[1]].set(1))
        return found

    return jax.lax.map(slope, where[0])


def _slopes_apart(output_of: Callable, weights: PyTree, inputs: Array, where: tuple[Array, Array]) -> PyTree:
    """The same where a point's output depends on that point alone."""
    slope = jax.grad(lambda w, x: output_of(w, x[None])[0, where[1]])
    return jax.vmap(slope, in_axes=(None, 0))(weights, inputs[where[0]])
