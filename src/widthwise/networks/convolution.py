r"""Convolutions over images, lowered to what is fastest where they run.

On accelerators XLA's own convolution is used throughout. On the CPU three things are slow in it, as measured
(two cores, 128 images of 16 x 16 x 32, milliseconds; inside of a loop such as `lax.scan` or `lax.map`):

| pass | XLA's own | in a loop | here | in a loop |
|---|---|---|---|---|
| forward | 5 | 7 | the same | |
| gradient of the images | 5 | 210 | 5 | 7 |
| gradient of the weights | 22 | 1460 | 18 | 19 |

so the gradient of the images is written as a forward convolution with turned weights, and that of the weights
as matrix products over few images at a time, which stay in cache. `vmap` over networks makes a grouped
convolution of the forward pass, five times slower than a loop over networks (`lax.map`).
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float

Images = Float[Array, "point row column channel"]
Result = Float[Array, "point _ _ _"]  # positions or channels in other number
Weights = Float[Array, "out in row_offset column_offset"]

BLOCK = 2  # images whose gradients are gathered together: their patches stay in a core's cache


def convolution(images: Images, weights: Weights, stride: int = 1) -> Result:
    r"""Cross-correlation with a 3 x 3 or 1 x 1 window, zeros beyond the border.

    $$y_{r c o} = \sum_{i a b} W_{o i a b}\, x_{s r + a - k,\; s c + b - k,\; i}$$

    with k = 1 (3 x 3) or 0 (1 x 1) and stride s; n rows become (n + s - 1) // s rows.
    All derivatives, forward and backward, of any order, are those of the formula.
    """
    if weights.shape[-1] == 1:
        return images[:, ::stride, ::stride] @ weights[:, :, 0, 0].T
    if jax.default_backend() != "cpu":
        return _xla(images, weights, stride)
    return _fast(images, weights) if stride == 1 else _as_product(images, weights, stride)


def halve(images: Images) -> Result:
    """Mean over squares of 2 x 2; an odd last row or column is left out."""
    points, rows, columns, channels = images.shape
    even = images[:, : rows // 2 * 2, : columns // 2 * 2]
    return even.reshape(points, rows // 2, 2, columns // 2, 2, channels).mean((2, 4))


def _xla(images: Images, weights: Weights, stride: int = 1) -> Result:
    kernel = weights.transpose(2, 3, 1, 0)
    numbers = ("NHWC", "HWIO", "NHWC")
    border = [(1, 1), (1, 1)]
    return lax.conv_general_dilated(images, kernel, (stride, stride), border, dimension_numbers=numbers)


@jax.custom_jvp
def _fast(images: Images, weights: Weights) -> Result:
    return _xla(images, weights)


def _fast_jvp(primals, tangents):
    images, weights = primals
    images_move, weights_move = tangents
    output = _fast(images, weights)
    move = jnp.zeros_like(output)
    if not isinstance(images_move, SymbolicZero):
        move = move + _linear_in_images(weights, images_move)
    if not isinstance(weights_move, SymbolicZero):
        move = move + _linear_in_weights(images, weights_move)
    return output, move


_fast.defjvp(_fast_jvp, symbolic_zeros=True)


def _linear_in_images(weights: Weights, images: Images) -> Result:
    """The convolution, written so that its transpose is a plain forward convolution with `turned` weights."""
    turned = lax.optimization_barrier(weights[:, :, ::-1, ::-1].transpose(2, 3, 0, 1))
    numbers = ("NHWC", "HWOI", "NHWC")
    kernel = lax.rev(turned, (0, 1))
    return lax.conv_general_dilated(images, kernel, (1, 1), [(1, 1), (1, 1)], dimension_numbers=numbers)


def _linear_in_weights(images: Images, weights: Weights) -> Result:
    """The convolution, written so that its transpose is one matrix product for each block of images."""
    size = BLOCK if len(images) % BLOCK == 0 else 1
    blocks = images.reshape(-1, size, *images.shape[1:])
    # Without checkpointing the patches of all images would be kept for the backward pass.
    found = lax.map(lambda block: jax.checkpoint(_by_rows)(block, weights), blocks)
    return found.reshape(len(images), *found.shape[2:])


def _by_rows(images: Images, weights: Weights) -> Result:
    """Patches along columns times the weights of all three rows at once; then rows are shifted and added."""
    rows, columns = images.shape[1:3]
    out, channels = weights.shape[:2]
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    patches = jnp.concatenate([padded[:, :, b : b + columns] for b in range(3)], axis=-1)
    matrix = weights.transpose(3, 1, 2, 0).reshape(3 * channels, 3 * out)
    parts = (patches.reshape(-1, 3 * channels) @ matrix).reshape(*patches.shape[:3], 3, out)
    return parts[:, :rows, :, 0] + parts[:, 1 : rows + 1, :, 1] + parts[:, 2:, :, 2]


def _as_product(images: Images, weights: Weights, stride: int) -> Result:
    """Patches, gathered again in the backward pass, times a matrix."""

    def product(images: Images, weights: Weights) -> Result:
        rows, columns = images.shape[1:3]
        padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
        shifted = [
            padded[:, a : a + rows : stride, b : b + columns : stride] for a in range(3) for b in range(3)
        ]
        patches = jnp.concatenate(shifted, axis=-1)
        return patches @ weights.transpose(2, 3, 1, 0).reshape(-1, len(weights))

    return jax.checkpoint(product)(images, weights)
